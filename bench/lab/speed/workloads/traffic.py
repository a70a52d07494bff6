"""The requests that clients send: seeded, and encoded beforehand."""

from __future__ import annotations

import random
from collections.abc import Sequence

from lab.speed.workloads.methods import CROSS
from lab.speed.workloads.servers import LOOPBACK, MODEL
from reranker_bench.speed.closed_loop import STAMP

V3 = "/api/v3/inference/reranker"
RERANK = "/rerank"
"""A path and body that our server and infinity's both understand."""

VARIETY = 256
SMALL = 10
SIZES = (5, 20, 100)
METHODS: tuple[tuple[str, str | None], ...] = (
    ("fast", None),
    ("best", None),
    ("best", CROSS),
    ("optimal", CROSS),
    ("standard", CROSS),
)


def small_fast(queries: Sequence[str], texts: Sequence[str], seed: int = 0) -> list[bytes]:
    """Return `fast` requests of ten short documents."""
    chance = random.Random(seed)
    return [
        _v3(chance.choice(queries), chance.sample(texts, min(SMALL, len(texts))), "fast", None)
        for _ in range(VARIETY)
    ]


def mixed(queries: Sequence[str], texts: Sequence[str], seed: int = 0) -> list[bytes]:
    """Return requests of all methods on 5, 20 or 100 documents, each as often as the others."""
    chance = random.Random(seed)
    requests = []
    for number in range(VARIETY):
        method, cross = METHODS[number % len(METHODS)]
        size = SIZES[number // len(METHODS) % len(SIZES)]
        documents = chance.sample(texts, min(size, len(texts)))
        requests.append(_v3(chance.choice(queries), documents, method, cross))
    return requests


def pairs(queries: Sequence[str], texts: Sequence[str], seed: int = 0) -> list[bytes]:
    """Return requests to a cross-encoder, ten documents each, in the shape both servers take."""
    chance = random.Random(seed)
    return [
        LOOPBACK.encode(
            RERANK,
            {
                "model": MODEL,
                "query": _stamped(chance.choice(queries)),
                "documents": chance.sample(texts, min(SMALL, len(texts))),
                "return_documents": False,
            },
        )
        for _ in range(VARIETY)
    ]


def all_of(texts: Sequence[str]) -> bytes:
    """Return a request that holds all documents, which puts them in the cache."""
    return _v3("all of them", texts, "best", None)


def _stamped(query: str) -> str:
    return f"{query} {STAMP}"


def _v3(query: str, documents: Sequence[str], method: str, cross: str | None) -> bytes:
    body = {
        "model": "all-MiniLM-L6-v2",
        "query": _stamped(query),
        "documents": list(documents),
        "method": method,
        "return_documents": False,
    }
    return LOOPBACK.encode(V3, body | ({"model_cross": cross} if cross else {}))
