"""The other APIs that this server speaks, each in a file of its own.

What another wheel needs to add one is here; `registry` says how it is found.

>>> from reranker_server.dialects import Dialect, RankingRequest, ranking_dialect
"""

from reranker_server.dialects.base import Dialect, IncomingRequest, ParsedRequest
from reranker_server.dialects.ranking import (
    ParsedRanking,
    RankedItem,
    as_400,
    as_object,
    as_text,
    ranking_dialect,
)
from reranker_server.dialects.ranking_request import RankingOptions, RankingRequest

__all__ = [
    "Dialect",
    "IncomingRequest",
    "ParsedRanking",
    "ParsedRequest",
    "RankedItem",
    "RankingOptions",
    "RankingRequest",
    "as_400",
    "as_object",
    "as_text",
    "ranking_dialect",
]
