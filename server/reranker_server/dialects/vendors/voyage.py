"""Voyage: `top_k` in, `data` out.

Documents are strings, and there unless refused: Continue needs them without asking. `results`
repeats the order for clients that look there.
"""

from __future__ import annotations

from typing import NotRequired, Required

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import Ask
from reranker_server.dialects.ranking import Reading, as_object, as_text, ranks
from reranker_server.dialects.vendors import cohere


class Body(cohere.Extensions, total=False):
    """A request in Voyage's shape."""

    model: str
    query: Required[str]
    documents: Required[list[str]]
    top_k: int | None
    return_documents: bool
    truncation: bool


class Result(TypedDict):
    """One ranked document."""

    index: int
    relevance_score: float
    document: NotRequired[str]


class Answer(TypedDict):
    """An answer in Voyage's shape."""

    object: str
    data: list[Result]
    results: NotRequired[list[cohere.Result]]
    model: str
    usage: cohere.Usage


def claims(ask: Ask) -> bool:
    """Whether the field names are Voyage's own; its client sends them even as null."""
    return "top_n" not in ask.payload and bool({"top_k", "truncation"} & ask.payload.keys())


def render(reading: Reading, ranking: Ranking) -> Answer:
    """Return the answer."""
    data: list[Result] = []
    results: list[cohere.Result] = []
    for item in reading.items(ranking):
        found: Result = {"index": item.index, "relevance_score": item.score}
        same: cohere.Result = {"index": item.index, "relevance_score": item.score}
        if reading.echo is not False:
            found["document"] = as_text(item.document)
        if reading.echo:
            same["document"] = as_object(item.document)
        data.append(found)
        results.append(same)
    answer: Answer = {
        "object": "list",
        "data": data,
        "model": reading.label,
        "usage": cohere.usage(ranking),
    }
    if reading.ask.settings.data_copy:
        answer["results"] = results
    return answer


DIALECT = ranks("voyage", render, body=Body, answer=Answer, claims=claims, prefer_top_k=True)
