"""Cloudflare Workers AI: `contexts` in, an envelope out, with numbers for errors."""

from __future__ import annotations

from typing import Any, Required

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import Ask
from reranker_server.dialects.ranking import Reading, lenient, ranks
from reranker_server.dialects.vendors import cohere
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


class Body(cohere.Extensions, total=False):
    """A request in Cloudflare's shape."""

    query: Required[str]
    contexts: Required[list[dict[str, Any]]]
    top_k: int | None


class Score(TypedDict):
    """One ranked context; `id` is its position."""

    id: int
    score: float


class Outcome(TypedDict):
    """What a model returned."""

    response: list[Score]
    usage: cohere.Usage


class Answer(TypedDict):
    """An answer in Cloudflare's envelope; `result` is null in an error's."""

    result: Outcome | None
    success: bool
    errors: list[dict[str, Any]]
    messages: list[Any]


def claims(ask: Ask) -> bool:
    """Whether the documents are called `contexts`."""
    return isinstance(ask.payload.get("contexts"), list)


def render(reading: Reading, ranking: Ranking) -> Answer:
    """Return the answer."""
    scores: list[Score] = [
        {"id": item.index, "score": item.score} for item in reading.items(ranking)
    ]
    outcome: Outcome = {"response": scores, "usage": cohere.usage(ranking)}
    return {"result": outcome, "success": True, "errors": [], "messages": []}


def refuse(trouble: Problem) -> tuple[int, Any]:
    """Return an error as Cloudflare tells it."""
    status, _ = lenient(trouble)
    error = {"code": _CODES.get(status, _FAILED), "message": trouble.message}
    return status, {"result": None, "success": False, "errors": [error], "messages": []}


DIALECT = ranks(
    "cloudflare",
    render,
    body=Body,
    answer=Answer,
    claims=claims,
    refuse=refuse,
    error=Answer,
    prefer_top_k=True,
)
