"""How a model runs fastest on this machine: measured for a moment when it is warmed.

Three things are chosen, in this order, each on batches of real text:

1. the way of running the network: the attention kernel, the layout of the weights, and the
   backend where there are two; each on as many batches at a time as it usually has, for torch
   gains by a second one and an exported network does not;
2. the padded tokens of a batch: more amortise a batch's overhead, fewer stay in the cache;
3. how many batches torch runs at a time, with a share of the threads each.

What one token takes also tells which batches are so small that one thread is enough.

A way is a candidate only if it agrees with the first one within `TOLERANCE`, so a score does
not depend on the choice by more than that. A candidate must win clearly; see `clock`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from reranker.backends.candidate_timer import CandidateTimer, timed
from reranker.backends.variants import is_int8
from reranker.scheduling.workers import default_workers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.backends.variants import ExecutionVariants
    from reranker.scheduling.scheduler import BatchScheduler

log = logging.getLogger(__name__)

SECONDS = 1.0
"""What comparing sizes may take, about, and lanes, and half of it each way beyond the first: a
candidate that would overrun is left out, but for an exported network: what a large one gains is
worth the wait."""
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2, "float16": 1e-2, "int8": 2e-1}
"""By number format, the most that two ways may differ: in cosines, and in logits as a share of
1 + |logit|, since a number of few bits has so many digits and no more."""
_ALONE = 1.2  # times faster than several lanes, if one is to be taken
_LENGTH = 128  # tokens of each text in a trial
_TRIAL_TOKENS = 512  # of a batch while ways are compared; fewer where that takes too long
_SMALL = 0.02  # seconds of one thread's work: less is not worth waking another for each operation

Probe = Callable[[], "NDArray[np.float32]"]


class Tunable(Protocol):
    """What a model must offer to be measured."""

    name: str
    runner: BatchScheduler[Any, Any]
    ways: ExecutionVariants

    def probe(self, count: int, length: int) -> Probe:
        """Return what runs a batch of texts of that many tokens: logits (n,) or vectors (n, d)."""


@dataclass(frozen=True, slots=True)
class TuningResult:
    """What was chosen, and the tokens per second of each candidate that was timed."""

    way: str
    token_budget: int
    lanes: int
    rates: Mapping[str, float]

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {rate:.0f}/s" for name, rate in self.rates.items())
        how = f"{self.token_budget} padded tokens a batch, {self.lanes} at a time"
        return f"{self.way}, {how} ({rates})"


def tune(
    model: Tunable, dtype: str, budgets: Sequence[int] = (), seconds: float = SECONDS
) -> TuningResult:
    """Measure a model and leave it as it was fastest. Its workers wait meanwhile.

    Args:
        model: loaded, and run before.
        dtype: its number format, which says what counts as agreement.
        budgets: padded tokens a batch to choose among; none leaves them as they are.
        seconds: the time to spend on sizes, about; see `SECONDS`.
    """
    with model.runner.exclusive():
        model.runner.threads.use(model.runner.threads.total)
        present = model.runner.token_budget
        if model.runner.stats.halvings:  # more than this has been seen not to fit
            budgets = [budget for budget in budgets if budget <= present]
        # One text alone says what a token costs, so that no trial overruns by much.
        clock = CandidateTimer(model.name, prior=timed(model.probe(1, _LENGTH)) / _LENGTH)
        ways = _agreeing(model, dtype)
        first = next(iter(ways))
        if len(ways) > 1:
            limit = seconds * (len(ways) - 1) / 2
            trial = _as_in_use(model, limit / len(ways) / clock.seconds_a_token)
            exports = model.ways.exported
            always = {first, *exports} if exports else ()
            clock.compare({name: (*trial, use) for name, use in ways.items()}, limit, always)
        way = clock.fastest(list(ways), first)
        ways[way]()
        sizes = {f"{budget} tokens": budget for budget in budgets}
        probes = {name: model.probe(max(1, n // _LENGTH), _LENGTH) for name, n in sizes.items()}
        trials = {name: (n, probes[name], ways[way]) for name, n in sizes.items()}
        clock.compare(trials, seconds)
        size = clock.fastest(list(sizes), f"{present} tokens")
        model.runner.token_budget = sizes.get(size, present)
        model.runner.lanes = _lanes(model, clock, seconds)
        model.runner.small = int(_SMALL / model.runner.threads.total / clock.seconds_a_token)
        return TuningResult(way, model.runner.token_budget, model.runner.lanes, clock.rates)


def tolerance_of(way: str, dtype: str) -> float:
    """Return how far a way may be off, given the number format of what is not int8."""
    return TOLERANCE["int8" if is_int8(way) else dtype]


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return how far two answers are apart: in cosines of unit vectors, or relative in logits."""
    if one.ndim == 2:
        return float(np.abs(one @ one.T - other @ other.T).max())
    return float((np.abs(one - other) / (1 + np.abs(other))).max())


def _as_in_use(model: Tunable, most: float) -> tuple[int, Callable[[], None]]:
    """Return how many tokens a trial of ways has, and what runs it.

    Args:
        model: whose way is in use when the trial is run.
        most: tokens that there is time for; one text for each batch is the least.
    """
    threads = model.runner.threads
    batches = max(threads.counts[:2])
    texts = max(1, min(_TRIAL_TOKENS, int(most) // batches) // _LENGTH)
    probe = model.probe(texts, _LENGTH)

    def run() -> None:
        lanes = default_workers(threads, model.ways)
        for _ in range(batches // lanes):
            threads.at_once(lanes, probe)

    return batches * texts * _LENGTH, run


def _lanes(model: Tunable, clock: CandidateTimer, seconds: float) -> int:
    """Return how many batches at a time are fastest; exported networks run one."""
    threads = model.runner.threads
    usual = default_workers(threads, model.ways)
    if usual == 1:
        return 1
    probe = model.probe(_TRIAL_TOKENS // _LENGTH, _LENGTH)
    counts = {f"lanes: {count}": count for count in threads.counts}
    usual_name = f"lanes: {usual}"
    trials = {
        name: (count * _TRIAL_TOKENS, partial(threads.at_once, count, probe), lambda: None)
        for name, count in counts.items()
    }
    clock.compare(trials, seconds)
    rates = clock.rates
    best = clock.fastest([name for name, count in counts.items() if count >= usual], usual_name)
    # One lane has all threads to itself in this trial; in use other models' threads are awake.
    alone = rates.get(next(iter(counts)), 0.0) > _ALONE * rates.get(best, math.inf)
    return 1 if alone else counts[best]


def _agreeing(model: Tunable, dtype: str) -> dict[str, Callable[[], None]]:
    """Return the ways whose answers are those of the first, which is in use afterwards."""
    ways = model.ways.all()
    first = next(iter(ways))
    kept = {first: ways.pop(first)}
    if not ways:
        return kept
    probe = model.probe(4, _LENGTH // 4)
    wanted = probe()
    for name, use in ways.items():
        try:
            use()
            apart = difference(probe(), wanted)
        except Exception as error:  # whatever a network may raise
            log.warning("model %s: %s is left out: %s", model.name, name, error)
            continue
        if apart <= max(tolerance_of(first, dtype), tolerance_of(name, dtype)):
            kept[name] = use
        else:
            log.warning("model %s: %s is left out, being off by %.2g", model.name, name, apart)
    kept[first]()
    return kept
