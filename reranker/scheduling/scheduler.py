"""The scheduler of a model, which merges the work of all requests into batches.

A caller hands in a job, its items, and waits. A worker plans a round of batches out of all jobs and
runs them together with the other workers. None ever waits for more work to come: an idle model
starts at once.

On a CPU two batches with a core each are done sooner than one after the other with both: threads
that share a batch meet after every operation. How many batches run at a time is measured when a
model is warmed, and so is which batches are so small that one thread is enough.

Promises, each with a test:
    * a job whose deadline has passed or whose caller has gone is dropped before its next batch;
    * a batch that fails is split until the items at fault stand alone; only their jobs fail;
    * a batch that does not fit into memory halves the token budget for good and runs again;
    * every caller gets an answer, also when a worker dies; the next job starts a new one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, cast

from reranker.errors import Cancelled, InferenceError, ModelUnavailable
from reranker.scheduling.batch_runner import BatchRunner, SchedulerConfig, SchedulerState
from reranker.scheduling.queue import Batch, BatchQueue, Job, padded_tokens
from reranker.scheduling.stats import SchedulerStats
from reranker.scheduling.workers import IntraOpThreads, Worker
from reranker.types import RequestContext

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25  # how often a caller looks whether its job is over or the worker dead


class BatchScheduler(Generic[Item, Result]):
    """Runs a model's batches on threads of its own.

    Args:
        name: for the threads and the log.
        run: maps a batch of items to as many results; called on workers only, for as many batches
            at once as the configuration says.
        length: tokens of an item.
        config: how batches are formed at first.
        threads: of the tensor library, which the workers share.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[list[Item]], Sequence[Result]],
        length: Callable[[Item], int],
        config: SchedulerConfig,
        threads: IntraOpThreads | None = None,
    ) -> None:
        self.name = name
        self.threads = threads or IntraOpThreads()
        self._length = length
        self._state = SchedulerState(name, config)
        self._run_batch = BatchRunner(self._state, run)
        self._changed = self._state.changed
        self._queue = BatchQueue[Item, Result]()
        self._workers = [Worker[Job[Item, Result]]() for _ in range(self.threads.counts[-1])]

    @property
    def config(self) -> SchedulerConfig:
        """How batches are formed at present."""
        return self._state.config

    @config.setter
    def config(self, config: SchedulerConfig) -> None:
        with self._changed:
            self._state.config = config
            self._changed.notify_all()

    @property
    def stats(self) -> SchedulerStats:
        """What was counted so far."""
        return self._state.stats

    @property
    def waiting_jobs(self) -> int:
        """How many jobs have items that are in no batch yet."""
        return len(self._queue.jobs)

    @property
    def alive(self) -> bool:
        """Whether the workers run, or have not been needed yet."""
        return not self._state.closed and not any(worker.dead for worker in self._workers)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep workers from running batches within the block; those handed out already wait."""
        with contextlib.ExitStack() as held:
            for worker in self._workers:
                held.enter_context(worker.running)
            yield

    def __call__(self, items: Sequence[Item], context: RequestContext) -> list[Result]:
        """Run all items and return their results in order.

        Raises:
            DeadlineExceeded: the deadline passed first, or the caller has gone.
            InferenceError: the model failed on one of these items.
            ModelUnavailable: the scheduler is closed.
        """
        if not items:
            return []
        context.check()
        job = Job[Item, Result](items, [self._length(item) for item in items], context)
        with self._changed:
            if self._state.closed:
                raise ModelUnavailable(f"model {self.name!r} is shutting down")
            self._queue.jobs.append(job)
            self._ensure_workers()
            self._changed.notify_all()
        self._await(job)
        if job.error is not None:
            raise job.error
        return cast("list[Result]", job.results)

    def close(self) -> None:
        """Refuse further jobs, let the running batches end and fail the jobs that still wait."""
        with self._changed:
            self._state.closed = True
            for job in self._queue.clear():
                self._state.refuse(job)
            self._changed.notify_all()
            threads = [worker.thread for worker in self._workers if worker.thread is not None]
        for thread in threads:
            thread.join()
        with self._changed:
            self._ensure_workers()  # answers the jobs of a worker that died just now

    def _await(self, job: Job[Item, Result]) -> None:
        try:
            while not job.done.wait(min(_POLL_SECONDS, max(0.0, job.context.remaining()))):
                job.context.check()
                with self._changed:
                    self._ensure_workers()
        except BaseException:  # over, or the caller's thread was interrupted
            with self._changed:
                job.fail(Cancelled("the request was cancelled"))
            raise

    def _ensure_workers(self) -> None:
        """Start workers; jobs that a dead one had in hand fail, as they may be the cause."""
        for number, worker in enumerate(self._workers):
            if worker.dead:
                for job in worker.in_hand:
                    job.fail(
                        InferenceError(f"the worker of model {self.name!r} died and was replaced")
                    )
                worker.reset()
                self._changed.notify_all()
            if (
                worker.thread is None
                and number < self.config.concurrent_batches
                and not self._state.closed
            ):
                self._start(worker)

    def _start(self, worker: Worker[Job[Item, Result]]) -> None:
        """Start a worker; if the system refuses a thread, the others do the work."""
        try:
            worker.start(self._serve, f"model {self.name}")
        except RuntimeError:
            if all(other.thread is None for other in self._workers):
                raise
            log.warning("model %s: no thread for a further worker", self.name)

    def _serve(self, worker: Worker[Job[Item, Result]]) -> None:
        try:
            while (batch := self._next_batch(worker)) is not None:
                with worker.running:
                    self.threads.use(self._worth(batch, worker.threads))
                    self._run_batch(batch)
        except BaseException:
            # Only a kill or a bug in this file gets here; callers poll, replace this thread and
            # answer the jobs that it had in hand.
            log.exception("a worker of model %s died", self.name)

    def _next_batch(self, worker: Worker[Job[Item, Result]]) -> Batch[Item, Result] | None:
        """Wait for a batch; None once the scheduler is closed or has too many workers."""
        with self._changed:
            worker.in_hand = []
            self._changed.notify_all()  # its threads are free
            while not self._state.closed:
                if worker not in self._workers[: self.config.concurrent_batches]:
                    worker.reset()
                    return None
                free = self._first_idle(worker) and self._threads_left()
                if free and (self._queue.batches or self._plan_round(worker)):
                    return self._hand_out(worker)
                self._changed.wait()
            return None

    def _first_idle(self, worker: Worker[Job[Item, Result]]) -> bool:
        """Whether all workers before this one are busy.

        So consecutive jobs stay on one worker: the library's threads spin for a while for the
        worker that they served last, and those of two workers would compete for the cores.
        """
        before = self._workers[: self._workers.index(worker)]
        return all(other.in_hand or other.thread is None or other.dead for other in before)

    def _threads_left(self) -> bool:
        """Whether the running batches leave a worker's share of the threads.

        A batch that began alone has all of them. Jobs that arrive meanwhile wait for its end and
        are merged, which is faster than many small batches side by side.
        """
        used = sum(worker.threads for worker in self._workers if worker.in_hand)
        return self.threads.total - used >= self.threads.share(self.config.concurrent_batches)

    def _hand_out(self, worker: Worker[Job[Item, Result]]) -> Batch[Item, Result]:
        """Give a worker the next batch, with all threads if no other work is left."""
        batch = self._queue.batches.popleft()
        worker.in_hand = list({id(job): job for job, _ in batch}.values())
        others = any(other.in_hand for other in self._workers if other is not worker)
        alone = not (others or self._queue.batches or self._queue.jobs)
        worker.threads = self.threads.share(1 if alone else self.config.concurrent_batches)
        if self._queue.batches:
            self._changed.notify_all()  # the workers that let this one go first
        return batch

    def _worth(self, batch: Batch[Item, Result], threads: int) -> int:
        """Return how many of a worker's threads a batch is worth.

        Waking the others for each operation of a small one takes longer than they save.
        """
        return threads if padded_tokens(batch) > self.config.single_thread_tokens else 1

    def _plan_round(self, worker: Worker[Job[Item, Result]]) -> bool:
        """Plan batches of the waiting jobs; return whether there are any."""
        worker.in_hand = list(self._queue.jobs)  # should the worker die here, they are answered
        state, config = self._state, self._state.config
        state.stats = self._queue.plan(
            config.max_batch_tokens, config.concurrent_batches, state.stats
        )
        if not self._queue.batches:
            worker.in_hand = []
            return False
        self._changed.notify_all()  # the other workers
        return True
