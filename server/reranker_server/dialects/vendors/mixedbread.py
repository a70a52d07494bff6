"""Mixedbread: `input` is a list of documents, `data` holds `score`."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import IncomingRequest
from reranker_server.dialects.lenient_fields import Count, Documents, documents_named, named
from reranker_server.dialects.ranking import ParsedRanking, ranking_dialect
from reranker_server.dialects.ranking_request import RankingRequest
from reranker_server.dialects.vendors.cohere import OpenaiUsage, openai_usage


class MixedbreadRequest(RankingRequest):
    """A request in Mixedbread's shape."""

    documents: Documents = documents_named("input")
    top_n: Count = named("top_k", "top_n")


class MixedbreadResult(TypedDict):
    """One ranked document; `input` is as it was sent."""

    index: int
    score: float
    input: NotRequired[str | dict[str, Any]]
    object: str


class MixedbreadResponse(TypedDict):
    """A response in Mixedbread's shape."""

    usage: OpenaiUsage
    model: str
    data: list[MixedbreadResult]
    object: str
    top_k: int
    return_input: bool


def _matches(incoming: IncomingRequest) -> bool:
    """Whether the documents are called `input`."""
    return isinstance(incoming.payload.get("input"), list)


def _render(parsed: ParsedRanking, ranking: Ranking) -> MixedbreadResponse:
    data: list[MixedbreadResult] = []
    for item in parsed.items(ranking):
        result: MixedbreadResult = {
            "index": item.index,
            "score": item.score,
            "object": "rank_result",
        }
        if parsed.echo:
            original = item.document.original
            result["input"] = original if isinstance(original, str) else dict(original)
        data.append(result)
    return {
        "usage": openai_usage(ranking.usage),
        "model": parsed.label,
        "data": data,
        "object": "list",
        "top_k": parsed.request.top_n or len(parsed.request.documents),
        "return_input": bool(parsed.echo),
    }


MIXEDBREAD = ranking_dialect(
    "mixedbread", MixedbreadRequest, _render, response=MixedbreadResponse, matches=_matches
)
