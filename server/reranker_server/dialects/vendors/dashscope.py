"""DashScope's own shape: `input` is an object with query and documents."""

from __future__ import annotations

import uuid
from typing import Any

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import IncomingRequest
from reranker_server.dialects.ranking import ParsedRanking, as_400, as_object, ranking_dialect
from reranker_server.dialects.ranking_request import RankingContent, RankingOptions
from reranker_server.dialects.vendors.cohere import CohereResult
from reranker_server.errors import Problem


class DashscopeRequest(RankingOptions):
    """A request in DashScope's shape; `parameters` has top_n and return_documents."""

    input: RankingContent

    @property
    def content(self) -> RankingContent:
        """Return query and documents."""
        return self.input

    @property
    def place(self) -> str:
        """Return where the documents stand in the body, for messages."""
        return f"input.{self.input.sent_as}"


class DashscopeOutput(TypedDict):
    """What was ranked."""

    results: list[CohereResult]


class DashscopeResponse(TypedDict):
    """A response in DashScope's shape."""

    output: DashscopeOutput
    usage: dict[str, int]
    request_id: str


class DashscopeError(TypedDict):
    """An error."""

    code: str
    message: str
    request_id: str


def _matches(incoming: IncomingRequest) -> bool:
    """Whether query and documents stand inside `input`."""
    return isinstance(incoming.payload.get("input"), dict)


def _render(parsed: ParsedRanking, ranking: Ranking) -> DashscopeResponse:
    results: list[CohereResult] = []
    for item in parsed.items(ranking):
        result: CohereResult = {"index": item.index, "relevance_score": item.score}
        if parsed.echo:
            result["document"] = as_object(item.document)
        results.append(result)
    return {
        "output": {"results": results},
        "usage": {"total_tokens": ranking.usage.total_tokens},
        "request_id": str(uuid.uuid4()),
    }


def _render_error(problem: Problem) -> tuple[int, Any]:
    status, _ = as_400(problem)
    error: DashscopeError = {
        "code": problem.code,
        "message": problem.message,
        "request_id": str(uuid.uuid4()),
    }
    return status, error


DASHSCOPE = ranking_dialect(
    "dashscope",
    DashscopeRequest,
    _render,
    response=DashscopeResponse,
    paths=("/api/v1/services/rerank/text-rerank/text-rerank",),
    matches=_matches,
    render_error=_render_error,
    error=DashscopeError,
)
