"""The other APIs that this server speaks, each a file and a line in the table.

On a route that several share, the first dialect of the table that claims a body speaks it; what
none claims is Cohere's. Under its own prefix (`/infinity/rerank`) a dialect need claim nothing:
that is for those whose bodies are the same, byte for byte, and whose answers are not.
"""

from __future__ import annotations

from reranker_server.dialects import tei
from reranker_server.dialects.base import Ask, Dialect
from reranker_server.dialects.vendors import (
    cloudflare,
    cohere,
    dashscope,
    mixedbread,
    nim,
    pinecone,
    sglang,
    voyage,
    weaviate,
)

TABLE: tuple[Dialect, ...] = (
    nim.DIALECT,
    cloudflare.DIALECT,
    pinecone.DIALECT,
    mixedbread.DIALECT,
    dashscope.DIALECT,
    tei.DIALECT,
    weaviate.DIALECT,
    sglang.DIALECT,
    voyage.DIALECT,
    cohere.DIALECT,
    cohere.STRINGS,
)


def detect(ask: Ask) -> Dialect:
    """Return the dialect that a body on a shared route is in."""
    for dialect in TABLE:
        if dialect.claims is not None and dialect.claims(ask):
            return dialect
    return cohere.DIALECT
