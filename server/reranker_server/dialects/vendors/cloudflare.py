"""Cloudflare Workers AI: `contexts` in, an envelope out, with numbers for errors."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import IncomingRequest
from reranker_server.dialects.lenient_fields import Count, ObjectList, documents_named, named
from reranker_server.dialects.ranking import ParsedRanking, as_400, ranking_dialect
from reranker_server.dialects.ranking_request import RankingRequest
from reranker_server.dialects.vendors.cohere import OpenaiUsage, openai_usage
from reranker_server.errors import Problem

_CODES = {
    400: 5004,
    401: 10000,
    402: 3036,
    403: 5018,
    404: 3042,
    408: 3007,
    413: 3006,
    415: 5004,
    429: 3040,
    503: 3040,
    504: 3007,
}
_FAILED = 3043
_RUN = "accounts/{account}/ai/run/{model:path}"


class CloudflareRequest(RankingRequest):
    """A request in Cloudflare's shape."""

    documents: ObjectList = documents_named("contexts")
    top_n: Count = named("top_k", "top_n")


class CloudflareScore(TypedDict):
    """One ranked context; `id` is its position."""

    id: int
    score: float


class CloudflareResult(TypedDict):
    """What a model returned."""

    response: list[CloudflareScore]
    usage: OpenaiUsage


class CloudflareResponse(TypedDict):
    """A response in Cloudflare's envelope; `result` is null in an error's."""

    result: CloudflareResult | None
    success: bool
    errors: list[dict[str, Any]]
    messages: list[Any]


def _matches(incoming: IncomingRequest) -> bool:
    """Whether the documents are called `contexts`."""
    return isinstance(incoming.payload.get("contexts"), list)


def _render(parsed: ParsedRanking, ranking: Ranking) -> CloudflareResponse:
    result: CloudflareResult = {
        "response": [{"id": item.index, "score": item.score} for item in parsed.items(ranking)],
        "usage": openai_usage(ranking.usage),
    }
    return {"result": result, "success": True, "errors": [], "messages": []}


def _render_error(problem: Problem) -> tuple[int, CloudflareResponse]:
    status, _ = as_400(problem)
    error = {"code": _CODES.get(status, _FAILED), "message": problem.message}
    return status, {"result": None, "success": False, "errors": [error], "messages": []}


CLOUDFLARE = ranking_dialect(
    "cloudflare",
    CloudflareRequest,
    _render,
    response=CloudflareResponse,
    paths=(f"/client/v4/{_RUN}", f"/{_RUN}", "/ai/run/{model:path}"),
    matches=_matches,
    render_error=_render_error,
    error=CloudflareResponse,
)
