"""Sides that do the same work in turns: A, B, C, A, B, C, ...

Each side is loaded, does all of the work once off the clock, and has its scores compared with
the reference's. Only a side that agrees is timed. A side that cannot be loaded or fails on the
way is listed with its reason and does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from lab.peers.process import PeerFailure, PeerSession
from lab.speed.results import DISAGREES, FAILED, NOT_INSTALLED, Row
from lab.speed.workloads import agreement

Observe = Callable[[str], None]
Pools = Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Side:
    """Who takes part.

    Attributes:
        name: of the library.
        dtype: dtype it is asked for; "auto" leaves it to the side, whose settings then name it.
        start: begins a session; None where the library is not installed.
        load: parts of the request that loads it.
    """

    name: str
    dtype: str
    start: Callable[[], PeerSession] | None
    load: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Runner:
    """A side under way: its row so far, and its session while it is in the race."""

    row: Row
    session: PeerSession | None = None
    scores: agreement.Scores = ()


def race(
    sides: Sequence[Side], pools: Pools, repeats: int, observe: Observe, unit_count: int
) -> list[Row]:
    """Time all sides on the same pools.

    Args:
        sides: who takes part; the first float32 side that runs is the reference.
        pools: query and documents.
        repeats: timed runs of each side.
        observe: is called with what is being done.
        unit_count: units of work in the pools, of which rates are counted.

    Returns:
        One row a side, in order.
    """
    with ExitStack() as stack:
        runners = [_load(side, pools, observe, stack) for side in sides]
        _check(runners)
        for number in range(repeats):
            for runner in runners:
                if runner.session is not None:
                    observe(f"run {number + 1} of {repeats}: {runner.row.label}")
                    _time(runner, unit_count)
    return [runner.row for runner in runners]


def _load(side: Side, pools: Pools, observe: Observe, stack: ExitStack) -> _Runner:
    row = Row(side.name, side.dtype)
    if side.start is None:
        return _Runner(replace(row, state=NOT_INSTALLED, why="see `make speed-peers`"))
    observe(f"loading {row.label}")
    try:
        session = side.start()
        stack.callback(session.close)
        loaded = session.ask("load", dtype=side.dtype, **side.load)
        session.ask("texts", pools=[[query, list(documents)] for query, documents in pools])
        observe(f"warming {row.label}")
        scores = session.ask("run")["scores"]
    except (PeerFailure, OSError) as error:
        return _Runner(replace(row, state=FAILED, why=str(error)))
    settings = loaded["settings"]
    dtype = settings.get("dtype", side.dtype) if side.dtype == "auto" else side.dtype
    row = replace(row, dtype=dtype, versions=loaded["versions"], settings=settings)
    return _Runner(row, session, scores)


def _check(runners: Sequence[_Runner]) -> None:
    """Take out of the race whoever computed something else than the reference."""
    loaded = [runner for runner in runners if runner.session is not None]
    exact = [runner for runner in loaded if runner.row.dtype == "float32"] or loaded
    for runner in loaded:
        off = agreement.difference(runner.scores, exact[0].scores)
        allowed = agreement.tolerance(runner.row.dtype)
        extra = {"difference": float(f"{off:.2g}"), "tolerance": allowed}
        if runner is exact[0]:
            extra["deviation"] = float(f"{agreement.deviation(runner.scores):.2g}")
        runner.row = replace(runner.row, extra=extra)
        if off > allowed:
            why = f"scores differ by {off:.2g}, allowed is {allowed:g}"
            runner.row = replace(runner.row, state=DISAGREES, why=why, extra={"tolerance": allowed})
            runner.session = None


def _time(runner: _Runner, unit_count: int) -> None:
    assert runner.session is not None
    try:
        answer = runner.session.ask("run")
    except PeerFailure as error:
        runner.row = replace(runner.row, state=FAILED, why=str(error), rates=())
        runner.session = None
        return
    extra = dict(runner.row.extra)
    if answer.get("peak_mb"):
        extra["peak_mb"] = round(max(extra.get("peak_mb", 0), answer["peak_mb"]))
    rates = (*runner.row.rates, unit_count / answer["seconds"])
    runner.row = replace(runner.row, rates=rates, extra=extra)
