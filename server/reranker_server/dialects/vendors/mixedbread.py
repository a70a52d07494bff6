"""Mixedbread: `input` is a list of documents, `data` holds `score`."""

from __future__ import annotations

from typing import Any, NotRequired, Required

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import Ask
from reranker_server.dialects.ranking import Reading, ranks
from reranker_server.dialects.vendors import cohere


class Body(cohere.Extensions, total=False):
    """A request in Mixedbread's shape."""

    model: str
    query: Required[str]
    input: Required[list[str | dict[str, Any]]]
    rank_fields: list[str] | None
    top_k: int | None
    return_input: bool


class Result(TypedDict):
    """One ranked document; `input` is as it was sent."""

    index: int
    score: float
    input: NotRequired[str | dict[str, Any]]
    object: str


class Answer(TypedDict):
    """An answer in Mixedbread's shape."""

    usage: cohere.Usage
    model: str
    data: list[Result]
    object: str
    top_k: int
    return_input: bool


def claims(ask: Ask) -> bool:
    """Whether the documents are called `input`."""
    return isinstance(ask.payload.get("input"), list)


def render(reading: Reading, ranking: Ranking) -> Answer:
    """Return the answer."""
    data: list[Result] = []
    for item in reading.items(ranking):
        result: Result = {"index": item.index, "score": item.score, "object": "rank_result"}
        if reading.echo:
            original = item.document.original
            result["input"] = original if isinstance(original, str) else dict(original)
        data.append(result)
    return {
        "usage": cohere.usage(ranking),
        "model": reading.label,
        "data": data,
        "object": "list",
        "top_k": reading.request.top_n or len(reading.request.documents),
        "return_input": bool(reading.echo),
    }


DIALECT = ranks("mixedbread", render, body=Body, answer=Answer, claims=claims, prefer_top_k=True)
