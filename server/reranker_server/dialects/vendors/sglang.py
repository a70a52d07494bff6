"""SGLang: Cohere's request, a bare array as the answer; `instruct` is its own field."""

from __future__ import annotations

from typing import Any, NotRequired, Required

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import Ask
from reranker_server.dialects.ranking import Reading, as_text, ranks
from reranker_server.dialects.vendors.cohere import Extensions, usage


class Body(Extensions, total=False):
    """A request in SGLang's shape."""

    query: Required[str]
    documents: Required[list[str]]
    instruct: str | None
    top_n: int | None
    return_documents: bool


class Rank(TypedDict):
    """One ranked document."""

    score: float
    document: NotRequired[str]
    index: int
    meta_info: dict[str, Any]


def claims(ask: Ask) -> bool:
    """Whether the field is there that only SGLang knows."""
    return "instruct" in ask.payload


def render(reading: Reading, ranking: Ranking) -> list[Rank]:
    """Return the answer."""
    read = usage(ranking)["prompt_tokens"]
    ranked: list[Rank] = []
    for item in reading.items(ranking):
        rank: Rank = {
            "score": item.score,
            "index": item.index,
            "meta_info": {"prompt_tokens": read},
        }
        if reading.echo is not False:
            rank["document"] = as_text(item.document)
        ranked.append(rank)
    return ranked


DIALECT = ranks("sglang", render, body=Body, answer=list[Rank], claims=claims)
