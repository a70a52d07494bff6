"""Voyage: `top_k` in, `data` out.

Documents are strings, and there unless refused: Continue needs them without asking. `results`
repeats the order for clients that look there.
"""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import IncomingRequest
from reranker_server.dialects.lenient_fields import Count, TextList, documents_named, named
from reranker_server.dialects.ranking import ParsedRanking, as_object, as_text, ranking_dialect
from reranker_server.dialects.ranking_request import RankingRequest
from reranker_server.dialects.vendors.cohere import CohereResult, OpenaiUsage, openai_usage


class VoyageRequest(RankingRequest):
    """A request in Voyage's shape."""

    documents: TextList = documents_named()
    top_n: Count = named("top_k", "top_n")


class VoyageResult(TypedDict):
    """One ranked document."""

    index: int
    relevance_score: float
    document: NotRequired[str]


class VoyageResponse(TypedDict):
    """A response in Voyage's shape."""

    object: str
    data: list[VoyageResult]
    results: NotRequired[list[CohereResult]]
    model: str
    usage: OpenaiUsage


def _matches(incoming: IncomingRequest) -> bool:
    """Whether the field names are Voyage's own; its client sends them even as null."""
    payload = incoming.payload
    return "top_n" not in payload and bool({"top_k", "truncation"} & payload.keys())


def _render(parsed: ParsedRanking, ranking: Ranking) -> VoyageResponse:
    data: list[VoyageResult] = []
    results: list[CohereResult] = []
    for item in parsed.items(ranking):
        found: VoyageResult = {"index": item.index, "relevance_score": item.score}
        same: CohereResult = {"index": item.index, "relevance_score": item.score}
        if parsed.echo is not False:
            found["document"] = as_text(item.document)
        if parsed.echo:
            same["document"] = as_object(item.document)
        data.append(found)
        results.append(same)
    response: VoyageResponse = {
        "object": "list",
        "data": data,
        "model": parsed.label,
        "usage": openai_usage(ranking.usage),
    }
    if parsed.incoming.settings.cohere_include_data:
        response["results"] = results
    return response


VOYAGE = ranking_dialect(
    "voyage",
    VoyageRequest,
    _render,
    response=VoyageResponse,
    matches=_matches,
    precedence=-2,  # others have a top_k, too
)
