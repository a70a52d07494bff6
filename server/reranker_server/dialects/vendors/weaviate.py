"""Weaviate's `reranker-transformers`: scores by position, in the order the documents came."""

from __future__ import annotations

from typing import Any, Required

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import Ask
from reranker_server.dialects.ranking import Reading, as_text, lenient, ranks
from reranker_server.dialects.vendors.cohere import Extensions
from reranker_server.errors import Problem


class Body(Extensions, total=False):
    """A request in Weaviate's shape; it comes without a Content-Type."""

    query: Required[str]
    documents: Required[list[str]]
    property: Required[str]


class Score(TypedDict):
    """One document."""

    document: str
    score: float


class Answer(TypedDict):
    """An answer in Weaviate's shape."""

    scores: list[Score]


class Error(TypedDict):
    """An error."""

    error: str


def claims(ask: Ask) -> bool:
    """Whether the one field is there that only Weaviate sends."""
    return "property" in ask.payload and "model" not in ask.payload


def render(reading: Reading, ranking: Ranking) -> Answer:
    """Return the answer."""
    items = sorted(reading.items(ranking), key=lambda item: item.index)
    return {"scores": [{"document": as_text(each.document), "score": each.score} for each in items]}


def refuse(trouble: Problem) -> tuple[int, Any]:
    """Return an error as Weaviate reads it."""
    status, _ = lenient(trouble)
    return status, {"error": trouble.message}


DIALECT = ranks(
    "weaviate", render, body=Body, answer=Answer, claims=claims, refuse=refuse, error=Error
)
