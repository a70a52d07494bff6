"""NVIDIA NIM: `passages` in, raw logits out. Elasticsearch refuses more keys than these two."""

from __future__ import annotations

from typing import Any, Required

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import Ask
from reranker_server.dialects.ranking import Reading, ranks
from reranker_server.dialects.vendors.cohere import Extensions


class Body(Extensions, total=False):
    """A request in NIM's shape."""

    model: str
    query: Required[dict[str, Any]]
    passages: Required[list[dict[str, Any]]]
    truncate: str


class Rank(TypedDict):
    """One ranked passage."""

    index: int
    logit: float


class Answer(TypedDict):
    """An answer in NIM's shape."""

    rankings: list[Rank]


def claims(ask: Ask) -> bool:
    """Whether the documents are called `passages`."""
    return isinstance(ask.payload.get("passages"), list)


def render(reading: Reading, ranking: Ranking) -> Answer:
    """Return the answer."""
    items = reading.items(ranking)
    return {"rankings": [{"index": item.index, "logit": item.raw} for item in items]}


DIALECT = ranks("nim", render, body=Body, answer=Answer, claims=claims)
