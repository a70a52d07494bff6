"""Cohere v1 and v2, and the APIs of the same shape.

These are Jina, SiliconFlow, Together, vLLM, Infinity, Xinference, LocalAI, GPUStack and, of the
applications, Open WebUI, Dify and RAGFlow.

Items hold `index`, `relevance_score` and perhaps `document`, never more: Elasticsearch refuses
others. `object` is "rerank", as infinity_client insists. A document is `{text}` or absent, never
null. `data` repeats the results for clients that look there.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, NotRequired

from typing_extensions import TypedDict

from reranker.types import Document, Ranking, Usage
from reranker_server.dialects.ranking import ParsedRanking, as_object, as_text, ranking_dialect
from reranker_server.dialects.ranking_request import RankingRequest


class CohereRequest(RankingRequest):
    """A request in Cohere's shape."""


class CohereResult(TypedDict):
    """One ranked document."""

    index: int
    relevance_score: float
    document: NotRequired[str | dict[str, Any]]


class OpenaiUsage(TypedDict):
    """Tokens that the models read, as OpenAI counts them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CohereResponse(TypedDict):
    """A response in Cohere's shape."""

    id: str
    object: str
    created: int
    model: str
    results: list[CohereResult]
    data: NotRequired[list[CohereResult]]
    usage: OpenaiUsage
    meta: dict[str, Any]


def openai_usage(usage: Usage) -> OpenaiUsage:
    """Return the tokens read, as OpenAI counts them."""
    total = usage.total_tokens
    return {"prompt_tokens": total, "completion_tokens": 0, "total_tokens": total}


def _render_objects(parsed: ParsedRanking, ranking: Ranking) -> CohereResponse:
    """Render with documents as objects: if asked for, or else as the path's owner does.

    Jina and vLLM return them unless refused, Cohere's v2 does not.
    """
    path = parsed.incoming.path
    usual = path.endswith("/rerank") and not path.endswith("/v2/rerank")
    return _render(parsed, ranking, usual if parsed.echo is None else parsed.echo, as_object)


def _render_strings(parsed: ParsedRanking, ranking: Ranking) -> CohereResponse:
    """Render with documents as strings, if asked for."""
    return _render(parsed, ranking, bool(parsed.echo), as_text)


def _render(
    parsed: ParsedRanking,
    ranking: Ranking,
    echo: bool,
    as_document: Callable[[Document], str | dict[str, Any]],
) -> CohereResponse:
    results: list[CohereResult] = []
    for item in parsed.items(ranking):
        result: CohereResult = {"index": item.index, "relevance_score": item.score}
        if echo:
            result["document"] = as_document(item.document)
        results.append(result)
    usage = openai_usage(ranking.usage)
    meta: dict[str, Any] = {
        "api_version": {"version": "2" if "/v2/" in parsed.incoming.path else "1"},
        "billed_units": {"search_units": 1},
        "tokens": {"input_tokens": usage["total_tokens"], "output_tokens": 0},
    }
    if ranking.warnings:
        meta["warnings"] = list(ranking.warnings)
    response: CohereResponse = {
        "id": f"rr-{uuid.uuid4().hex}",
        "object": "rerank",
        "created": int(time.time()),
        "model": parsed.label,
        "results": results,
        "usage": usage,
        "meta": meta,
    }
    if parsed.incoming.settings.cohere_include_data:
        response["data"] = [
            {"index": each["index"], "relevance_score": each["relevance_score"]} for each in results
        ]
    return response


# Cohere's SDK and litellm double the prefix of a base address that ends in /v1 or /v2.
COHERE = ranking_dialect(
    "cohere",
    CohereRequest,
    _render_objects,
    response=CohereResponse,
    shared_paths=(
        *("/rerank", "/v1/rerank", "/v2/rerank"),
        *("/v1/v1/rerank", "/v1/v2/rerank", "/v2/v1/rerank", "/v2/v2/rerank"),
        *("/reranks", "/v1/reranks", "/compatible-api/v1/reranks", "/inference/v1/rerank"),
        *("/reranking", "/v1/reranking"),
        *("/", "/invocations"),
    ),
)
INFINITY = ranking_dialect(
    "infinity",
    CohereRequest,
    _render_strings,
    response=CohereResponse,
    paths=("/api/rerank",),
)
