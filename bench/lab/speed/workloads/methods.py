"""W4: the methods end to end through the engine, with a cold and a warm cache.

Cold is an engine that keeps no results. Warm is one that has ranked the same documents
for another query: what depends on the document alone is kept, what depends on the pair is not.
Every request asks a new query, so that no pair's score is ever found in a cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from lab.peers.environments import OWN, interpreter
from lab.peers.process import PeerProcess, PeerSession
from lab.speed.options import RaceOptions
from lab.speed.results import Row, WorkloadResult
from lab.speed.workloads import texts
from lab.speed.workloads.race import Observe
from reranker_bench.speed.statistics import percentiles

COLD, WARM = "cold", "warm"
CROSS = "minilm-l6-cross-encoder"
CACHE_MB = 1024
VARIANTS: dict[str, dict[str, str]] = {
    "fast": {"method": "fast"},
    "optimal": {"method": "optimal"},
    "best": {"method": "best"},
    "best + cross-encoder": {"method": "best", "model_cross": CROSS},
}


@dataclass(slots=True)
class _Cell:
    """One variant in one state of the cache."""

    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    peak: float = 0.0


def w4(options: RaceOptions, observe: Observe) -> WorkloadResult:
    """Measure the methods through the engine, with the models it ships."""
    source = texts.collection(options.data)
    queries = options.queries or 2
    count_pools = queries * (options.repeats + 1) * len(VARIANTS)
    found = texts.pools(source, count_pools, options.documents or 100)
    with ExitStack() as stack:
        sessions: dict[str, PeerSession] = {}
        loaded = {}
        for state, cache_mb in ((COLD, 0), (WARM, CACHE_MB)):
            observe(f"loading the engine, {state}")
            sessions[state] = start_engine(options)
            stack.callback(sessions[state].close)
            loaded[state] = load_engine(sessions[state], options, cache_mb)
        cells = measure(sessions, found, queries, options.repeats, observe)
    rows = [
        Row(
            f"{variant}, {state}",
            settings=loaded[state]["settings"],
            versions=loaded[state]["versions"],
            rates=tuple(cell.rates),
            extra={**percentiles(cell.seconds), "peak_mb": round(cell.peak)},
        )
        for (variant, state), cell in cells.items()
    ]
    against = [(f"{v}, {WARM}", f"{v}, {COLD}") for v in VARIANTS]
    against += [(f"{v}, {COLD}", f"fast, {COLD}") for v in VARIANTS if v != "fast"]
    settings = options.to_json() | {
        "data": source.name,
        "requests": queries,
        "documents": len(found[0].documents),
    }
    return WorkloadResult("W4 methods through the engine", "requests/s", rows, against, settings)


def measure(
    sessions: dict[str, PeerSession],
    found: Sequence[texts.Pool],
    queries: int,
    repeats: int,
    observe: Observe,
) -> dict[tuple[str, str], _Cell]:
    """Time every variant in every state, in turns.

    Args:
        sessions: by state, loaded.
        found: the documents of the first `queries` pools are ranked, for the queries of all.
        queries: requests in a repeat.
        repeats: of each.
        observe: is called with what is being done.
    """
    cells = {(variant, state): _Cell() for variant in VARIANTS for state in sessions}
    new = {state: _new_queries(found) for state in sessions}
    for number in range(-1, repeats):  # the first is off the clock and fills the caches
        for (variant, state), cell in cells.items():
            observe(f"run {max(number, 0) + 1} of {repeats}: {variant}, {state}")
            pools = [
                (next(new[state]), list(found[i % len(found)].documents)) for i in range(queries)
            ]
            sessions[state].ask("texts", pools=pools)
            answer = sessions[state].ask("run", arguments=VARIANTS[variant])
            if number >= 0:
                cell.rates.append(queries / answer["seconds"])
                cell.seconds += answer["each"]
                cell.peak = max(cell.peak, answer["peak_mb"] or 0.0)
    return cells


def _new_queries(found: Sequence[texts.Pool]) -> Iterator[str]:
    """Yield queries for ever, each once; those of the collection first, then numbered."""
    for turn in count():
        for pool in found:
            yield f"{pool.query} {turn}" if turn else pool.query


def start_engine(options: RaceOptions) -> PeerSession:
    """Start an engine in a process of its own; it is not loaded yet."""
    python = interpreter(OWN, {})
    assert python is not None
    return PeerProcess(python, OWN.adapter, options.threads)


def load_engine(
    session: PeerSession, options: RaceOptions, cache_mb: int, folder: Path | None = None
) -> dict[str, Any]:
    """Load an engine; with a folder, the cross-encoder there is the one named "measured"."""
    return session.ask(
        "load",
        role="ranking",
        folder=str(folder) if folder else None,
        dtype="auto",
        device=options.device,
        threads=options.threads,
        max_tokens=512,
        options={"cache_mb": cache_mb, "backend": options.backend},
    )
