"""The requests of a measurement: drawn with a seed from a collection's own texts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reranker_bench.data.beir import RetrievalSet
from reranker_bench.speed.closed_loop import STAMP

CacheState = Literal["cold", "warm"]
CACHE_STATES: tuple[CacheState, ...] = ("cold", "warm")
_VARIETY = 64


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests of one method in one state of the caches.

    Attributes:
        method: that ranks.
        state: "cold": all texts are new. "warm": the documents were ranked before, for another
            query; queries are always new.
        requests: arguments of `Reranker.rank`, `STAMP` in texts that must be new.
    """

    method: str
    state: CacheState
    requests: Sequence[Mapping[str, Any]]


def build_workload(
    source: RetrievalSet,
    method: str,
    state: CacheState,
    documents: int,
    models: Mapping[str, str],
    seed: int = 0,
) -> Workload:
    """Return a workload.

    Args:
        source: whose queries and documents are sent.
        method: that ranks.
        state: of the caches.
        documents: of each request.
        models: fields `model` and, where one is named, `model_cross`.
        seed: of the draw.
    """
    draw = random.Random(seed)
    queries, texts = list(source.queries.values()), list(source.corpus.values())
    same = draw.choices(texts, k=documents)
    requests = [
        {
            "query": f"{draw.choice(queries)} {STAMP}",
            "documents": same
            if state == "warm"
            else [f"{STAMP} {text}" for text in draw.choices(texts, k=documents)],
            "method": method,
            **models,
        }
        for _ in range(_VARIETY)
    ]
    return Workload(method, state, requests)
