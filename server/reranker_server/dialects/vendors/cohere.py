"""Cohere v1 and v2, and all who speak like it.

They are Jina, SiliconFlow, Together, vLLM, Infinity, Xinference, LocalAI, GPUStack and, of the
applications, Open WebUI, Dify and RAGFlow.

Items hold `index`, `relevance_score` and perhaps `document`, never more: Elasticsearch refuses
others. `object` is "rerank", as infinity_client insists. A document is `{text}` or absent, never
null. `data` repeats the results for clients that look there.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, NotRequired, Required

from typing_extensions import TypedDict

from reranker.types import Document, Ranking
from reranker_server.dialects.ranking import Reading, as_object, as_text, ranks


class Extensions(TypedDict, total=False):
    """What every dialect of ranking may carry beside its own fields."""

    method: str
    model_cross: str
    stage1_top_k: int


class Body(Extensions, total=False):
    """A request in Cohere's shape."""

    model: str
    query: Required[str | dict[str, Any]]
    documents: Required[list[str | dict[str, Any]]]
    top_n: int | None
    rank_fields: list[str]
    return_documents: bool | None
    max_tokens_per_doc: int | None
    raw_scores: bool


class Result(TypedDict):
    """One ranked document."""

    index: int
    relevance_score: float
    document: NotRequired[str | dict[str, Any]]


class Usage(TypedDict):
    """Tokens the models read."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Answer(TypedDict):
    """An answer in Cohere's shape."""

    id: str
    object: str
    created: int
    model: str
    results: list[Result]
    data: NotRequired[list[Result]]
    usage: Usage
    meta: dict[str, Any]


def usage(ranking: Ranking) -> Usage:
    """Return what was read, as OpenAI counts it."""
    total = ranking.usage.total_tokens
    return {"prompt_tokens": total, "completion_tokens": 0, "total_tokens": total}


def render(reading: Reading, ranking: Ranking) -> Answer:
    """Return the answer, documents as objects: if asked for, or if not, as the path's owner does.

    Jina and vLLM return them unless refused, Cohere's v2 does not.
    """
    path = reading.ask.path
    usual = path.endswith("/rerank") and not path.endswith("/v2/rerank")
    return _render(reading, ranking, usual if reading.echo is None else reading.echo, as_object)


def render_strings(reading: Reading, ranking: Ranking) -> Answer:
    """Return the answer, documents as strings, if asked for."""
    return _render(reading, ranking, bool(reading.echo), as_text)


def _render(
    reading: Reading,
    ranking: Ranking,
    echo: bool,
    form: Callable[[Document], str | dict[str, Any]],
) -> Answer:
    results: list[Result] = []
    for item in reading.items(ranking):
        result: Result = {"index": item.index, "relevance_score": item.score}
        if echo:
            result["document"] = form(item.document)
        results.append(result)
    tokens = usage(ranking)
    meta: dict[str, Any] = {
        "api_version": {"version": "2" if "/v2/" in reading.ask.path else "1"},
        "billed_units": {"search_units": 1},
        "tokens": {"input_tokens": tokens["total_tokens"], "output_tokens": 0},
    }
    if ranking.warnings:
        meta["warnings"] = list(ranking.warnings)
    answer: Answer = {
        "id": f"rr-{uuid.uuid4().hex}",
        "object": "rerank",
        "created": int(time.time()),
        "model": reading.label,
        "results": results,
        "usage": tokens,
        "meta": meta,
    }
    if reading.ask.settings.data_copy:
        answer["data"] = [
            {"index": each["index"], "relevance_score": each["relevance_score"]} for each in results
        ]
    return answer


DIALECT = ranks("cohere", render, body=Body, answer=Answer)
STRINGS = ranks("infinity", render_strings, body=Body, answer=Answer)
