"""Running one batch, and handling its failure.

A batch that fails is split until the items at fault stand alone; one that does not fit into memory
halves the token budget for good and runs again in parts that fit.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from reranker.errors import InferenceError, ModelUnavailable
from reranker.scheduling.batching import plan
from reranker.scheduling.out_of_memory import is_out_of_memory
from reranker.scheduling.queue import Batch, Job, padded_tokens
from reranker.scheduling.stats import SchedulerStats

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """How batches are formed; replaced as a whole.

    Attributes:
        max_batch_tokens: the most padded tokens in a batch.
        concurrent_batches: how many run at a time.
        single_thread_tokens: padded tokens up to which a batch is not worth a second thread.
    """

    max_batch_tokens: int
    concurrent_batches: int = 1
    single_thread_tokens: int = 0


@dataclass(slots=True)
class SchedulerState:
    """What a scheduler and its batch runner share; `changed` guards the rest, and all jobs."""

    name: str
    config: SchedulerConfig
    stats: SchedulerStats = field(default_factory=SchedulerStats)
    changed: threading.Condition = field(default_factory=threading.Condition)
    closed: bool = False

    def refuse(self, job: Job[Item, Result]) -> None:
        """Answer a job of a scheduler that is closed."""
        job.fail(ModelUnavailable(f"model {self.name!r} is shutting down"))


class BatchRunner(Generic[Item, Result]):
    """Runs batches on the thread that calls it, and settles their jobs.

    Args:
        state: of the scheduler.
        run: maps a batch of items to as many results.
    """

    def __init__(
        self, state: SchedulerState, run: Callable[[list[Item]], Sequence[Result]]
    ) -> None:
        self._state = state
        self._run = run

    def __call__(self, batch: Batch[Item, Result]) -> None:
        """Run a batch, without the items of jobs that are over."""
        batch = [(job, item) for job, item in batch if not job.over]
        if not batch:
            return
        if len(parts := self._fitting(batch)) > 1:  # the budget has shrunk since it was planned
            self._run_parts(parts)
            return
        try:
            results = self._run([job.items[item] for job, item in batch])
            if len(results) != len(batch):
                raise InferenceError(f"{len(results)} results for {len(batch)} items")
        except Exception as error:  # whatever a model may raise
            if len(batch) == 1:
                self._fail(batch[0][0], error)
                return
            parts = self._split(batch, error)
        else:
            with self._state.changed:
                for (job, item), result in zip(batch, results, strict=True):
                    job.settle(item, result)
            return
        # Here the error is gone, and the memory that its traceback held.
        self._run_parts(parts)

    def _run_parts(self, parts: list[Batch[Item, Result]]) -> None:
        for part in parts:
            if self._state.closed:
                with self._state.changed:
                    for job, _ in part:
                        self._state.refuse(job)
            else:
                self(part)

    def _split(self, batch: Batch[Item, Result], error: Exception) -> list[Batch[Item, Result]]:
        """Return a failed batch of two or more items in smaller parts."""
        halves = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        if not is_out_of_memory(error):
            why = " ".join(f"{type(error).__name__}: {error}".split())
            log.warning("model %s failed on a batch, which is split: %s", self._state.name, why)
            return halves
        self._halve_budget(padded_tokens(batch))
        parts = self._fitting(batch)
        return parts if len(parts) > 1 else halves  # items of no length always fit

    def _halve_budget(self, too_many: int) -> None:
        """Keep later batches to half of the padded tokens that were too many."""
        most = max(1, too_many // 2)
        state = self._state
        with state.changed:
            if most >= state.config.max_batch_tokens:
                return
            state.config = replace(state.config, max_batch_tokens=most)
            state.stats = replace(state.stats, halvings=state.stats.halvings + 1)
        log.warning(
            "model %s ran out of memory; its batches are now of %d padded tokens at most",
            state.name,
            most,
        )

    def _fitting(self, batch: Batch[Item, Result]) -> list[Batch[Item, Result]]:
        lengths = [job.lengths[item] for job, item in batch]
        budget = self._state.config.max_batch_tokens
        return [[batch[i] for i in part] for part in plan(lengths, budget)]

    def _fail(self, job: Job[Item, Result], error: Exception) -> None:
        """Answer the job of an item that cannot be run even alone."""
        state = self._state
        log.error("model %s failed on one item", state.name, exc_info=error)
        what = "ran out of memory" if is_out_of_memory(error) else "failed"
        failure = InferenceError(f"model {state.name!r} {what} on one of the documents")
        failure.__cause__ = error
        with state.changed:
            state.stats = replace(state.stats, failed_items=state.stats.failed_items + 1)
            job.fail(failure)
