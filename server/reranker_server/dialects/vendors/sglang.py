"""SGLang: Cohere's request, a bare array as the response; `instruct` is its own field."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import IncomingRequest
from reranker_server.dialects.lenient_fields import TextList, documents_named
from reranker_server.dialects.ranking import ParsedRanking, as_text, ranking_dialect
from reranker_server.dialects.ranking_request import RankingRequest


class SglangRequest(RankingRequest):
    """A request in SGLang's shape."""

    documents: TextList = documents_named()
    instruct: Any = None


class SglangRank(TypedDict):
    """One ranked document."""

    score: float
    document: NotRequired[str]
    index: int
    meta_info: dict[str, Any]


def _matches(incoming: IncomingRequest) -> bool:
    """Whether the field is there that only SGLang knows."""
    return "instruct" in incoming.payload


def _render(parsed: ParsedRanking, ranking: Ranking) -> list[SglangRank]:
    ranked: list[SglangRank] = []
    for item in parsed.items(ranking):
        rank: SglangRank = {
            "score": item.score,
            "index": item.index,
            "meta_info": {"prompt_tokens": ranking.usage.total_tokens},
        }
        if parsed.echo is not False:
            rank["document"] = as_text(item.document)
        ranked.append(rank)
    return ranked


SGLANG = ranking_dialect(
    "sglang",
    SglangRequest,
    _render,
    response=list[SglangRank],
    matches=_matches,
    precedence=-1,
)
