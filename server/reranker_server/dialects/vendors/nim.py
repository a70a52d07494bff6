"""NVIDIA NIM: `passages` in, raw logits out. Elasticsearch refuses more keys than these two."""

from __future__ import annotations

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import IncomingRequest
from reranker_server.dialects.lenient_fields import ObjectList, documents_named
from reranker_server.dialects.ranking import ParsedRanking, ranking_dialect
from reranker_server.dialects.ranking_request import RankingRequest


class NimRequest(RankingRequest):
    """A request in NIM's shape."""

    documents: ObjectList = documents_named("passages")


class NimRank(TypedDict):
    """One ranked passage."""

    index: int
    logit: float


class NimResponse(TypedDict):
    """A response in NIM's shape."""

    rankings: list[NimRank]


def _matches(incoming: IncomingRequest) -> bool:
    """Whether the documents are called `passages`."""
    return isinstance(incoming.payload.get("passages"), list)


def _render(parsed: ParsedRanking, ranking: Ranking) -> NimResponse:
    items = parsed.items(ranking)
    return {"rankings": [{"index": item.index, "logit": item.raw} for item in items]}


NIM = ranking_dialect(
    "nim",
    NimRequest,
    _render,
    response=NimResponse,
    paths=("/ranking", "/v1/ranking", "/v1/retrieval/{model:path}/reranking"),
    matches=_matches,
)
