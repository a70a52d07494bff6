"""Hugging Face's text-embeddings-inference: `texts` in, a bare array out."""

from __future__ import annotations

from typing import Any, NotRequired, Required

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import Ask
from reranker_server.dialects.ranking import Reading, as_text, ranks
from reranker_server.dialects.vendors.cohere import Extensions
from reranker_server.errors import Problem

# Status here -> status and type there.
_REFUSALS = {
    400: (422, "Validation"),
    422: (422, "Validation"),
    429: (429, "Overloaded"),
    500: (424, "Backend"),
    503: (503, "Unhealthy"),
    504: (504, "Backend"),
}


class Body(Extensions, total=False):
    """A request in TEI's shape; `top_n` is honoured, though TEI itself has none."""

    query: Required[str]
    texts: Required[list[str]]
    truncate: bool | None
    truncation_direction: str
    raw_scores: bool
    return_text: bool
    top_n: int | None
    model: str


class Rank(TypedDict):
    """One ranked text."""

    index: int
    text: NotRequired[str]
    score: float


class Error(TypedDict):
    """An error."""

    error: str
    error_type: str


def claims(ask: Ask) -> bool:
    """Whether there are `texts`, and no `documents`: llama.cpp's clients send both."""
    payload = ask.payload
    return isinstance(payload.get("texts"), list) and not isinstance(payload.get("documents"), list)


def render(reading: Reading, ranking: Ranking) -> list[Rank]:
    """Return the answer."""
    ranks_: list[Rank] = []
    for item in reading.items(ranking):
        rank: Rank = {"index": item.index, "score": item.score}
        if reading.echo:
            rank["text"] = as_text(item.document)
        ranks_.append(rank)
    return ranks_


def refuse(trouble: Problem) -> tuple[int, Any]:
    """Return an error as TEI tells it."""
    if trouble.code == "no_documents":
        status, kind = 400, "Empty"
    elif trouble.code == "too_large" and trouble.param == "documents":
        status, kind = 422, "Validation"
    else:
        status, kind = _REFUSALS.get(trouble.status, (trouble.status, "Validation"))
    return status, {"error": trouble.message, "error_type": kind}


DIALECT = ranks(
    "tei", render, body=Body, answer=list[Rank], claims=claims, refuse=refuse, error=Error
)
