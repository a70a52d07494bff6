"""Latency and throughput from timed rankings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from reranker_bench.comparison.records import Timing

STATES = ("cold", "warm")


def summary(timings: Iterable[Timing]) -> dict[str, float] | None:
    """Return p50 and p95 in seconds a query, documents a second, and how many were timed.

    Percentiles are interpolated linearly. Returns None where nothing was timed.
    """
    kept = list(timings)
    if not kept:
        return None
    seconds = np.array([timing.seconds for timing in kept])
    documents = sum(timing.documents for timing in kept)
    return {
        "p50": float(np.percentile(seconds, 50)),
        "p95": float(np.percentile(seconds, 95)),
        "documents_per_second": float(documents / max(seconds.sum(), 1e-9)),
        "queries": len(kept),
    }


def by_state(timings: Iterable[Timing]) -> dict[str, dict[str, float]]:
    """Return the summary of each cache state that was timed."""
    kept = list(timings)
    found = {state: summary(t for t in kept if t.state == state) for state in STATES}
    return {state: values for state, values in found.items() if values is not None}
