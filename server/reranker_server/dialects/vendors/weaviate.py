"""Weaviate's `reranker-transformers`: scores by position, in the order the documents came."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import IncomingRequest
from reranker_server.dialects.lenient_fields import TextList, documents_named
from reranker_server.dialects.ranking import ParsedRanking, as_400, as_text, ranking_dialect
from reranker_server.dialects.ranking_request import RankingRequest
from reranker_server.errors import Problem


class WeaviateRequest(RankingRequest):
    """A request in Weaviate's shape; it comes without a Content-Type."""

    documents: TextList = documents_named()
    property: Any = None


class WeaviateScore(TypedDict):
    """One document."""

    document: str
    score: float


class WeaviateResponse(TypedDict):
    """A response in Weaviate's shape."""

    scores: list[WeaviateScore]


class WeaviateError(TypedDict):
    """An error."""

    error: str


def _matches(incoming: IncomingRequest) -> bool:
    """Whether the one field is there that only Weaviate sends."""
    return "property" in incoming.payload and "model" not in incoming.payload


def _render(parsed: ParsedRanking, ranking: Ranking) -> WeaviateResponse:
    items = sorted(parsed.items(ranking), key=lambda item: item.index)
    return {"scores": [{"document": as_text(each.document), "score": each.score} for each in items]}


def _render_error(problem: Problem) -> tuple[int, WeaviateError]:
    status, _ = as_400(problem)
    return status, {"error": problem.message}


WEAVIATE = ranking_dialect(
    "weaviate",
    WeaviateRequest,
    _render,
    response=WeaviateResponse,
    matches=_matches,
    precedence=-1,
    render_error=_render_error,
    error=WeaviateError,
)
