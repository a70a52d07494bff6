"""Pinecone: recognised by its headers; documents are objects, and returned unless refused."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import IncomingRequest
from reranker_server.dialects.lenient_fields import ObjectList, documents_named
from reranker_server.dialects.ranking import ParsedRanking, as_400, as_object, ranking_dialect
from reranker_server.dialects.ranking_request import RankingRequest
from reranker_server.errors import Problem

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "QUOTA_EXCEEDED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class PineconeRequest(RankingRequest):
    """A request in Pinecone's shape."""

    documents: ObjectList = documents_named()


class PineconeResult(TypedDict):
    """One ranked document."""

    index: int
    score: float
    document: NotRequired[dict[str, Any]]


class PineconeResponse(TypedDict):
    """A response in Pinecone's shape."""

    model: str
    data: list[PineconeResult]
    usage: dict[str, int]


class PineconeError(TypedDict):
    """An error."""

    error: dict[str, str]
    status: int


def _matches(incoming: IncomingRequest) -> bool:
    """Whether Pinecone's own headers are there."""
    return "api-key" in incoming.headers and "x-pinecone-api-version" in incoming.headers


def _render(parsed: ParsedRanking, ranking: Ranking) -> PineconeResponse:
    data: list[PineconeResult] = []
    for item in parsed.items(ranking):
        result: PineconeResult = {"index": item.index, "score": item.score}
        if parsed.echo is not False:
            result["document"] = as_object(item.document)
        data.append(result)
    return {"model": parsed.label, "data": data, "usage": {"rerank_units": 1}}


def _render_error(problem: Problem) -> tuple[int, PineconeError]:
    status, _ = as_400(problem)
    code = _CODES.get(status, "INTERNAL")
    return status, {"error": {"code": code, "message": problem.message}, "status": status}


PINECONE = ranking_dialect(
    "pinecone",
    PineconeRequest,
    _render,
    response=PineconeResponse,
    matches=_matches,
    precedence=1,  # the headers say it, whatever the body looks like
    render_error=_render_error,
    error=PineconeError,
)
