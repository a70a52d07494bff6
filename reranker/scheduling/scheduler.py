"""The worker threads of a model, which merge the work of all requests into batches.

A caller hands in its items and waits. A worker plans a round of batches out of what waits, which
it runs with the other workers. None ever waits for more work to come: an idle model starts at
once.

Each worker is a lane. On a CPU two batches with a core each are done sooner than one after the
other with both: threads that share a batch meet after every operation. How many lanes there are
is measured when a model is warmed, and which batches are so small that one thread is enough.

Promises, each with a test:
    * a call whose deadline has passed or whose caller has gone is dropped before its next batch;
    * a batch that fails is split until the items at fault stand alone; only their calls fail;
    * a batch that does not fit into memory halves the token budget for good and is run anew;
    * every waiter gets an answer, also when a worker dies; the next call starts a new one.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Generic, TypeVar, cast

from reranker.errors import Cancelled, InferenceError, ModelUnavailable
from reranker.scheduling.batching import plan
from reranker.scheduling.job import Job
from reranker.scheduling.out_of_memory import is_out_of_memory
from reranker.scheduling.queue import BatchQueue, Share, padded
from reranker.scheduling.stats import SchedulerStats
from reranker.scheduling.workers import IntraOpThreads, Worker
from reranker.types import RequestContext

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.25  # how often a waiter looks whether its call is over or the worker dead


class BatchScheduler(Generic[Item, Result]):
    """Runs a model's batches on threads of its own.

    Args:
        name: for the threads and the log.
        run: maps a batch of items to as many results; called on workers only, on as many at
            once as there are lanes.
        length: tokens of an item.
        token_budget: the most padded tokens in a batch, at first.
        threads: of the tensor library, which the lanes share.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[list[Item]], Sequence[Result]],
        length: Callable[[Item], int],
        token_budget: int,
        threads: IntraOpThreads | None = None,
    ) -> None:
        self.name = name
        self.token_budget = token_budget
        self.lanes = 1
        self.small = 0  # padded tokens of a batch that one thread does as soon as many
        self.stats = SchedulerStats()
        self.threads = threads or IntraOpThreads()
        self._run = run
        self._length = length
        self._wake = threading.Condition()  # guards all below, and what becomes of a call
        self._work = BatchQueue[Item, Result]()
        self._workers = [Worker[Job[Item, Result]]() for _ in range(self.threads.counts[-1])]
        self._closed = False

    @property
    def alive(self) -> bool:
        """Whether the workers run, or have not been needed yet."""
        return not self._closed and not any(lane.dead for lane in self._workers)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Have the network to oneself: what was handed out already waits in its lane."""
        with contextlib.ExitStack() as held:
            for lane in self._workers:
                held.enter_context(lane.running)
            yield

    def __call__(self, items: Sequence[Item], context: RequestContext) -> list[Result]:
        """Run all items and return their results in order.

        Raises:
            DeadlineExceeded: the call's deadline passed first, or its caller has gone.
            InferenceError: the model failed on one of these items.
            ModelUnavailable: the runner is closed.
        """
        if not items:
            return []
        context.check()
        waiting = Job[Item, Result](items, [self._length(item) for item in items], context)
        with self._wake:
            if self._closed:
                raise ModelUnavailable(f"model {self.name!r} is shutting down")
            self._work.calls.append(waiting)
            self._ensure_workers()
            self._wake.notify_all()
        self._await(waiting)
        if waiting.error is not None:
            raise waiting.error
        return cast("list[Result]", waiting.results)

    def close(self) -> None:
        """Refuse further calls, let the running batches end and fail what still waits."""
        with self._wake:
            self._closed = True
            self._refuse(self._work.clear())
            self._wake.notify_all()
            threads = [lane.thread for lane in self._workers if lane.thread is not None]
        for thread in threads:
            thread.join()
        with self._wake:
            self._ensure_workers()  # answers whom a worker that died just now had in hand

    def _await(self, waiting: Job[Item, Result]) -> None:
        try:
            while not waiting.done.wait(min(_POLL_SECONDS, max(0.0, waiting.context.remaining()))):
                waiting.context.check()
                with self._wake:
                    self._ensure_workers()
        except BaseException:  # over, or the caller's thread was interrupted
            with self._wake:
                waiting.fail(Cancelled("the request was cancelled"))
            raise

    def _ensure_workers(self) -> None:
        """Start a worker for each lane. What a dead one had in hand fails: it may be the cause."""
        for number, lane in enumerate(self._workers):
            if lane.dead:
                for waiting in lane.in_hand:
                    waiting.fail(
                        InferenceError(f"the worker of model {self.name!r} died and was replaced")
                    )
                lane.reset()
                self._wake.notify_all()
            if lane.thread is None and number < self.lanes and not self._closed:
                self._start(lane)

    def _start(self, lane: Worker[Job[Item, Result]]) -> None:
        """Start a worker; where there can be no further thread the others do the work."""
        try:
            lane.start(self._serve, f"model {self.name}")
        except RuntimeError:
            if all(other.thread is None for other in self._workers):
                raise
            log.warning("model %s: no thread for a further worker", self.name)

    def _refuse(self, calls: Iterable[Job[Item, Result]]) -> None:
        for waiting in calls:
            waiting.fail(ModelUnavailable(f"model {self.name!r} is shutting down"))

    def _serve(self, lane: Worker[Job[Item, Result]]) -> None:
        try:
            while (batch := self._next_batch(lane)) is not None:
                with lane.running:
                    self.threads.use(self._worth(batch, lane.threads))
                    self._run_batch(batch)
        except BaseException:
            # Nothing but a kill or a fault of this file gets here; the waiters' own poll replaces
            # this thread and answers those whose items were in hand.
            log.exception("a worker of model %s died", self.name)

    def _next_batch(self, lane: Worker[Job[Item, Result]]) -> Share[Item, Result] | None:
        """Wait for work; None once the runner is closed or the lane is one too many."""
        with self._wake:
            lane.in_hand = []
            self._wake.notify_all()  # its threads are free
            while not self._closed:
                if lane not in self._workers[: self.lanes]:
                    lane.reset()
                    return None
                free = self._first_idle(lane) and self._threads_left()
                if free and (self._work.batches or self._plan_round(lane)):
                    return self._hand_out(lane)
                self._wake.wait()
            return None

    def _first_idle(self, lane: Worker[Job[Item, Result]]) -> bool:
        """Tell whether all lanes before this one are busy.

        Calls that come one after the other then stay on one lane. The library's threads keep
        awake for a while for the lane that they served last, so those of two lanes would be in
        each other's way.
        """
        before = self._workers[: self._workers.index(lane)]
        return all(other.in_hand or other.thread is None or other.dead for other in before)

    def _threads_left(self) -> bool:
        """Tell whether the batches that run leave a lane's share of the threads.

        A batch that began alone has all of them. What comes meanwhile waits for its end and is
        merged, which for small work is faster than many small batches side by side.
        """
        used = sum(lane.threads for lane in self._workers if lane.in_hand)
        return self.threads.total - used >= self.threads.share(self.lanes)

    def _hand_out(self, lane: Worker[Job[Item, Result]]) -> Share[Item, Result]:
        """Give a lane the next batch, and all threads if nothing else is to be done."""
        batch = self._work.batches.popleft()
        lane.in_hand = list({id(waiting): waiting for waiting, _ in batch}.values())
        others = any(other.in_hand for other in self._workers if other is not lane)
        alone = not (others or self._work.batches or self._work.calls)
        lane.threads = self.threads.share(1 if alone else self.lanes)
        if self._work.batches:
            self._wake.notify_all()  # the lanes that let this one go first
        return batch

    def _worth(self, batch: Share[Item, Result], threads: int) -> int:
        """Return how many of a lane's threads a batch is worth.

        Waking the others for each operation of a small one takes longer than they save.
        """
        return threads if padded(batch) > self.small else 1

    def _plan_round(self, lane: Worker[Job[Item, Result]]) -> bool:
        """Make batches of what waits; tell whether there are any."""
        lane.in_hand = list(self._work.calls)  # should the worker die here, they are answered
        self.stats = self._work.plan(self.token_budget, self.lanes, self.stats)
        if not self._work.batches:
            lane.in_hand = []
            return False
        self._wake.notify_all()  # the other lanes
        return True

    def _run_batch(self, batch: Share[Item, Result]) -> None:
        """Run one batch; on failure split it until the items at fault stand alone."""
        batch = [(waiting, item) for waiting, item in batch if not waiting.over]
        if not batch:
            return
        if len(parts := self._fitting(batch)) > 1:  # the budget has shrunk since it was planned
            self._run_parts(parts)
            return
        try:
            results = self._run([waiting.items[item] for waiting, item in batch])
            if len(results) != len(batch):
                raise InferenceError(f"{len(results)} results for {len(batch)} items")
        except Exception as error:  # whatever a model may raise
            if len(batch) == 1:
                self._fail(batch[0][0], error)
                return
            parts = self._split(batch, error)
        else:
            with self._wake:
                for (waiting, item), result in zip(batch, results, strict=True):
                    waiting.settle(item, result)
            return
        # Out here the error is gone, and with its traceback what the failed batch held in memory.
        self._run_parts(parts)

    def _run_parts(self, parts: list[Share[Item, Result]]) -> None:
        for part in parts:
            if self._closed:
                with self._wake:
                    self._refuse(waiting for waiting, _ in part)
            else:
                self._run_batch(part)

    def _split(self, batch: Share[Item, Result], error: Exception) -> list[Share[Item, Result]]:
        """Return a failed batch of two or more items in smaller parts."""
        halves = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        if not is_out_of_memory(error):
            return halves
        # Half of what was too much, which is one item's length at least.
        most = padded(batch) // 2
        with self._wake:
            if most < self.token_budget:
                self.token_budget = max(1, most)
                self.stats = replace(self.stats, halvings=self.stats.halvings + 1)
                log.warning(
                    "model %s ran out of memory; its batches are now of %d padded tokens at most",
                    self.name,
                    self.token_budget,
                )
        parts = self._fitting(batch)
        return parts if len(parts) > 1 else halves  # items of no length would all fit for ever

    def _fitting(self, batch: Share[Item, Result]) -> list[Share[Item, Result]]:
        lengths = [waiting.lengths[item] for waiting, item in batch]
        return [[batch[i] for i in part] for part in plan(lengths, self.token_budget)]

    def _fail(self, waiting: Job[Item, Result], error: Exception) -> None:
        """Answer the call of an item that cannot be run even alone."""
        log.error("model %s failed on one item", self.name, exc_info=error)
        what = "ran out of memory" if is_out_of_memory(error) else "failed"
        failure = InferenceError(f"model {self.name!r} {what} on one of the documents")
        failure.__cause__ = error
        with self._wake:
            self.stats = replace(self.stats, failed_items=self.stats.failed_items + 1)
            waiting.fail(failure)
