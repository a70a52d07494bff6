"""How a model runs fastest on this machine: measured for a moment when it is warmed.

Three things are chosen, in this order, each on batches of real text:

1. the execution variant: attention kernel, layout of the weights, and the backend where there are
   two; each with as many concurrent batches as it usually runs, for torch gains by a second one
   and an exported network does not;
2. the padded tokens of a batch: more amortise a batch's overhead, fewer stay in the cache;
3. how many batches torch runs at a time, with a share of the threads each.

What one token takes also tells which batches are so small that one thread is enough.

A variant is a candidate only if it agrees with the present one to `SAME_SCORES`, and on the texts
of the trial to a tenth of that, so that two replicas, and two starts, give the same scores whatever
they measured. In bfloat16 that leaves the defaults: there batch sizes show in scores, too. A
candidate must win clearly; see `candidate_timer`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from reranker.backends.tuning.agreement import SAME_SCORES, difference
from reranker.backends.tuning.candidate_timer import CandidateTimer, seconds_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reranker.backends.variants import ExecutionVariants
    from reranker.scheduling.scheduler import BatchScheduler

log = logging.getLogger(__name__)

SECONDS = 1.0
"""What comparing batch sizes may take, about, and concurrent batches, and half of it each variant
beyond the first: a candidate that would overrun is left out, but for an exported network: what a
large one gains is worth the wait."""
_ALONE = 1.2  # times faster than several workers, if one is to be chosen
_LENGTH = 128  # tokens of each text in a trial
_TRIAL_TOKENS = 512  # of a batch while variants are compared; fewer where that takes too long
_AGREED = SAME_SCORES / 10  # on the few texts of a trial, so that no other text is off by more
_SMALL = 0.02  # seconds of one thread's work: less is not worth waking another for each operation

Probe = Callable[[], "NDArray[np.float32]"]


class Tunable(Protocol):
    """What a model must offer to be measured."""

    @property
    def name(self) -> str:
        """For the log."""

    @property
    def scheduler(self) -> BatchScheduler[Any, Any]:
        """Runs its batches."""

    @property
    def variants(self) -> ExecutionVariants:
        """How it can be run."""

    def probe(self, count: int, length: int) -> Probe:
        """Return what runs a batch of texts of that many tokens: logits (n,) or vectors (n, d)."""


@dataclass(frozen=True, slots=True)
class TuningResult:
    """What was chosen, and the tokens per second of each candidate that was timed."""

    variant: str
    max_batch_tokens: int
    concurrent_batches: int
    rates: Mapping[str, float]

    def __str__(self) -> str:
        rates = ", ".join(f"{name} {rate:.0f}/s" for name, rate in self.rates.items())
        batches = (
            f"batches of {self.max_batch_tokens} padded tokens, {self.concurrent_batches} at a time"
        )
        return f"{self.variant}, {batches}" + (f" (tokens/s: {rates})" if rates else "")


def autotune(
    model: Tunable,
    batch_token_candidates: Sequence[int] = (),
    seconds: float = SECONDS,
    *,
    exact: bool = True,
) -> TuningResult:
    """Measure a model and leave it as it was fastest. Its workers wait meanwhile.

    Args:
        model: loaded, and run before.
        batch_token_candidates: padded tokens in a batch to choose among; none keeps the present
            number.
        seconds: the time to spend on batch sizes, about; see `SECONDS`.
        exact: whether the dtype has enough digits for scores to be the same in any batch. In one of
            fewer bits, batch sizes and concurrency would show in them, so they are not measured.
    """
    scheduler = model.scheduler
    batch_token_candidates = batch_token_candidates if exact else ()
    with scheduler.exclusive():
        scheduler.threads.use(scheduler.threads.total)
        present = scheduler.config.max_batch_tokens
        if scheduler.stats.halvings:  # more than this has been seen not to fit
            batch_token_candidates = [each for each in batch_token_candidates if each <= present]
        # One text alone says what a token costs, so that no trial overruns by much.
        timer = CandidateTimer(model.name, prior=seconds_of(model.probe(1, _LENGTH)) / _LENGTH)
        variant, use = _fastest_variant(model, timer, seconds)
        sizes = {f"{each} tokens": each for each in batch_token_candidates}
        trials = {
            name: (each, model.probe(max(1, each // _LENGTH), _LENGTH), use)
            for name, each in sizes.items()
        }
        timer.compare(trials, seconds)
        size = timer.fastest(list(sizes), f"{present} tokens")
        config = replace(
            scheduler.config,
            max_batch_tokens=sizes.get(size, present),
            concurrent_batches=_fastest_concurrency(model, timer, seconds)
            if exact
            else default_concurrency(model),
            single_thread_tokens=int(_SMALL / scheduler.threads.total / timer.seconds_per_token),
        )
        scheduler.config = config
        return TuningResult(
            variant, config.max_batch_tokens, config.concurrent_batches, timer.rates
        )


def default_concurrency(model: Tunable) -> int:
    """Return how many batches run at a time where nothing was measured.

    Two, which gained on every CPU so far; one where a second would have to wait: exported
    networks take all threads, and some networks change while they run.
    """
    counts = model.scheduler.threads.counts
    if len(counts) == 1 or model.variants.backend != "torch" or model.variants.keeps_state:
        return 1
    return counts[1]


def _fastest_variant(
    model: Tunable, timer: CandidateTimer, seconds: float
) -> tuple[str, Callable[[], None]]:
    """Return the name of the fastest variant, now in use, and what switches to it."""
    variants = _agreeing_variants(model)
    first = next(iter(variants))
    if len(variants) > 1:
        limit = seconds * (len(variants) - 1) / 2
        trial = _trial_as_in_use(model, limit / len(variants) / timer.seconds_per_token)
        exports = model.variants.exported
        always = {first, *exports} if exports else ()
        trials = {name: (*trial, use) for name, use in variants.items()}
        timer.compare(trials, limit, always)
    name = timer.fastest(list(variants), first)
    variants[name]()
    return name, variants[name]


def _trial_as_in_use(model: Tunable, most: float) -> tuple[int, Callable[[], None]]:
    """Return how many tokens a trial of variants has, and what runs it.

    Args:
        model: whose variant is in use when the trial is run.
        most: tokens that there is time for; one text for each batch is the least.
    """
    threads = model.scheduler.threads
    batches = max(threads.counts[:2])
    texts = max(1, min(_TRIAL_TOKENS, int(most) // batches) // _LENGTH)
    probe = model.probe(texts, _LENGTH)

    def run() -> None:
        at_once = default_concurrency(model)
        for _ in range(batches // at_once):
            threads.run_concurrently(at_once, probe)

    return batches * texts * _LENGTH, run


def _fastest_concurrency(model: Tunable, timer: CandidateTimer, seconds: float) -> int:
    """Return how many concurrent batches are fastest; exported networks run one."""
    threads = model.scheduler.threads
    default = default_concurrency(model)
    if default == 1:
        return 1
    probe = model.probe(_TRIAL_TOKENS // _LENGTH, _LENGTH)
    counts = {f"concurrent batches: {count}": count for count in threads.counts}
    trials = {
        name: (
            count * _TRIAL_TOKENS,
            partial(threads.run_concurrently, count, probe),
            lambda: None,
        )
        for name, count in counts.items()
    }
    timer.compare(trials, seconds)
    several = [name for name, count in counts.items() if count >= default]
    best = timer.fastest(several, f"concurrent batches: {default}")
    # One batch has all threads to itself in this trial; in use other models' threads are awake.
    rates = timer.rates
    alone = rates.get(next(iter(counts)), 0.0) > _ALONE * rates.get(best, math.inf)
    return 1 if alone else counts[best]


def _agreeing_variants(model: Tunable) -> dict[str, Callable[[], None]]:
    """Return the variants with the outputs of the first, which is in use afterwards."""
    variants = model.variants.all() or {model.variants.backend: lambda: None}
    first = next(iter(variants))
    agreeing = {first: variants.pop(first)}
    if not variants:
        return agreeing
    probe = model.probe(4, _LENGTH // 4)
    expected = probe()
    for name, use in variants.items():
        try:
            use()
            apart = difference(probe(), expected)
        except Exception as error:  # whatever a network may raise
            log.warning("model %s: %s is left out: %s", model.name, name, error)
            continue
        if apart <= _AGREED:
            agreeing[name] = use
        else:
            log.debug("model %s: %s is left out, being off by %.2g", model.name, name, apart)
    agreeing[first]()
    return agreeing
