"""Where the time of a request goes, method by method.

Each request is timed twice: bare, for the seconds, and under torch's profiler, for the shares
of the network's operations, because the profiler slows down what it watches.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from lab.speed.profile.operations import operations
from lab.speed.profile.probe import Probe
from lab.speed.workloads.methods import VARIANTS
from reranker import telemetry

if TYPE_CHECKING:
    from lab.speed.workloads.texts import Pool
    from reranker.engine import Reranker
    from reranker.types import Ranking

PARTS = {
    "tokenise": "texts to ids, on the caller's thread",
    "wait": "in the queue, batching, and handing results back",
    "linear": "matrix products of the layers, shared out by torch's profiler",
    "attention": "scaled dot products, shared out likewise",
    "pooling": "token states to one vector",
    "rest of network": "norms, activations, embeddings, padding, copies",
    "stage maths": "all else within the call: cosines, features, fusion, order",
    "JSON": "reading the request's body and writing the answer's",
}
METHODS = {"standard": {"method": "standard"}, **VARIANTS}


def profile(
    engine: Reranker, pools: Sequence[Pool], repeats: int, observe: Callable[[str], None]
) -> dict[str, Any]:
    """Return for each method the median milliseconds of a request and of its parts.

    Args:
        engine: one that keeps no results, or they would be measured instead.
        pools: a request each.
        repeats: how often each is timed.
        observe: is told what is going on.
    """
    return {
        method: _method(engine, arguments, pools, repeats, observe)
        for method, arguments in METHODS.items()
    }


def _method(
    engine: Reranker,
    arguments: Mapping[str, Any],
    pools: Sequence[Pool],
    repeats: int,
    observe: Callable[[str], None],
) -> dict[str, Any]:
    observe(f"profiling {arguments}")
    models = engine.settings
    probe = Probe(
        [engine.models.bi_encoder(models.model), engine.models.cross_encoder(models.model_cross)]
    )
    with probe:
        engine.rank(pools[0].query, pools[0].documents, **arguments)  # off the clock
        timed = [_timed(engine, arguments, pool, probe) for _ in range(repeats) for pool in pools]
        probe.reset()
        with operations() as shares:
            for pool in pools:
                engine.rank(pool.query, pool.documents, **arguments)
        watched = probe.network
    rows = [_split(seconds, shares, watched) for seconds in timed]
    return {
        "total_ms": _ms([seconds["total"] + seconds["JSON"] for seconds in timed]),
        "parts_ms": {part: _ms([row[part] for row in rows]) for part in PARTS},
    }


def _timed(
    engine: Reranker, arguments: Mapping[str, Any], pool: Pool, probe: Probe
) -> dict[str, float]:
    """Return seconds as the probe and the engine's own timings see them."""
    probe.reset()
    body = json.dumps({"query": pool.query, "documents": pool.documents, **arguments})
    start = time.perf_counter()
    read = json.loads(body)
    json_seconds = time.perf_counter() - start
    with telemetry.collect() as spent:
        start = time.perf_counter()
        ranking = engine.rank(read["query"], read["documents"], **arguments)
        total = time.perf_counter() - start
    start = time.perf_counter()
    json.dumps(_answer(ranking))
    json_seconds += time.perf_counter() - start
    return {
        "total": total,
        "tokenise": spent.get("tokenize", 0.0),
        "calls": probe.calls,
        "network": probe.network,
        "pooling": probe.pooling,
        "JSON": json_seconds,
    }


def _split(
    seconds: Mapping[str, float], shares: Mapping[str, float], watched: float
) -> dict[str, float]:
    """Return seconds by part.

    Args:
        seconds: of one request, see `_timed`.
        shares: seconds of the operations of the profiled requests, by kind.
        watched: seconds of the network in those same requests.
    """
    network = seconds["network"]
    scale = network / watched if watched else 0.0
    linear, attention = (scale * shares.get(kind, 0.0) for kind in ("linear", "attention"))
    named = linear + attention + seconds["pooling"]
    return {
        "tokenise": seconds["tokenise"],
        "wait": max(0.0, seconds["calls"] - network),
        "linear": linear,
        "attention": attention,
        "pooling": seconds["pooling"],
        "rest of network": max(0.0, network - named),
        "stage maths": max(0.0, seconds["total"] - seconds["tokenise"] - seconds["calls"]),
        "JSON": seconds["JSON"],
    }


def _answer(ranking: Ranking) -> dict[str, Any]:
    return {
        "results": [{"index": each.index, "relevance_score": each.score} for each in ranking],
        "meta": {"method": ranking.method, "timings": dict(ranking.seconds)},
    }


def _ms(seconds: Sequence[float]) -> float:
    return round(1000 * median(seconds), 3)
