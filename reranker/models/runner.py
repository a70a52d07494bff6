"""One worker thread per model, which merges the work of all requests into batches.

A caller hands in its items and waits. The worker takes a share of every waiting call in
turn, so a call of ten documents is not held up by one of ten thousand; merges the shares,
sorts them by length and runs them in batches bounded by padded tokens. It never waits for
more work to come: an idle model starts at once.

Promises, each with a test:
    * a call whose deadline has passed or whose caller has gone is dropped before its next batch;
    * a batch that fails is split until the items at fault stand alone; only their calls fail;
    * a batch that does not fit into memory halves the token budget for good and is run anew;
    * every waiter gets an answer, also when the worker itself dies; the next call starts a new one.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeAlias, TypeVar, cast

from reranker.errors import Cancelled, InferenceError, ModelUnavailable
from reranker.models.batching import padding_ratio, plan
from reranker.models.memory import ran_out
from reranker.models.stats import RunnerStats
from reranker.models.waiting import Waiting
from reranker.types import Call

Item = TypeVar("Item")
Result = TypeVar("Result")
Share: TypeAlias = list[tuple[Waiting[Item, Result], int]]  # items of waiting calls

log = logging.getLogger(__name__)

_ROUND_BATCHES = 4  # batches' worth of work merged and sorted at a time
_POLL_SECONDS = 0.25  # how often a waiter looks whether its call is over or the worker dead
_NO_LIMIT = 1 << 30


class Runner(Generic[Item, Result]):
    """Runs a model's batches on one thread of its own.

    Args:
        name: for the thread and the log.
        run: maps a batch of items to as many results; called on the worker only.
        length: tokens of an item.
        token_budget: the most padded tokens in a batch, at first.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[list[Item]], Sequence[Result]],
        length: Callable[[Item], int],
        token_budget: int,
    ) -> None:
        self.name = name
        self.token_budget = token_budget
        self.stats = RunnerStats()
        self.exclusive = threading.RLock()  # held while a batch runs; whoever holds it has peace
        self._run = run
        self._length = length
        self._wake = threading.Condition()
        self._calls: deque[Waiting[Item, Result]] = deque()
        self._in_flight: list[Waiting[Item, Result]] = []
        self._worker: threading.Thread | None = None
        self._closed = False

    @property
    def alive(self) -> bool:
        """Whether the worker runs, or has not been needed yet."""
        return not self._closed and (self._worker is None or self._worker.is_alive())

    def __call__(self, items: Sequence[Item], call: Call) -> list[Result]:
        """Run all items and return their results in order.

        Raises:
            DeadlineExceeded: the call's deadline passed first, or its caller has gone.
            InferenceError: the model failed on one of these items.
            ModelUnavailable: the runner is closed.
        """
        if not items:
            return []
        call.check()
        waiting = Waiting[Item, Result](items, [self._length(item) for item in items], call)
        with self._wake:
            if self._closed:
                raise ModelUnavailable(f"model {self.name!r} is shutting down")
            self._calls.append(waiting)
            self._ensure_worker()
            self._wake.notify()
        self._await(waiting)
        if waiting.error is not None:
            raise waiting.error
        return cast("list[Result]", waiting.results)

    def close(self) -> None:
        """Refuse further calls, let the running batch end and fail what still waits."""
        with self._wake:
            self._closed = True
            self._ensure_worker()
            self._wake.notify_all()
        if self._worker is not None:
            self._worker.join()

    def _await(self, waiting: Waiting[Item, Result]) -> None:
        try:
            while not waiting.done.wait(min(_POLL_SECONDS, max(0.0, waiting.call.remaining()))):
                waiting.call.check()
                with self._wake:
                    self._ensure_worker()
        except BaseException:  # over, or the caller's thread was interrupted
            with self._wake:
                waiting.fail(Cancelled("the request was cancelled"))
            raise

    def _ensure_worker(self) -> None:
        """Start a worker if none lives. What a dead one had in hand fails: it may be the cause."""
        if self._worker is not None and self._worker.is_alive():
            return
        for waiting in self._in_flight:
            waiting.fail(InferenceError(f"the worker of model {self.name!r} died and was replaced"))
        self._in_flight = []
        if self._closed:
            self._refuse_all()
            return
        self._worker = threading.Thread(target=self._serve, name=f"model {self.name}", daemon=True)
        self._worker.start()

    def _refuse_all(self) -> None:
        for waiting in [*self._in_flight, *self._calls]:
            waiting.fail(ModelUnavailable(f"model {self.name!r} is shutting down"))
        self._in_flight = []
        self._calls.clear()

    def _serve(self) -> None:
        try:
            while (share := self._next_round()) is not None:
                self._run_round(share)
        except BaseException:
            # Nothing but a kill or a fault of this file gets here; the waiters' own poll replaces
            # this thread and answers those whose items were in hand.
            log.exception("the worker of model %s died", self.name)

    def _next_round(self) -> Share[Item, Result] | None:
        """Wait for work; None once the runner is closed."""
        with self._wake:
            while not self._closed:
                self._in_flight = []
                if self._calls:
                    return self._take_round()
                self._wake.wait()
            self._refuse_all()
            return None

    def _take_round(self) -> Share[Item, Result]:
        """Take an equal share of tokens from every waiting call; calls with more go to the back."""
        calls, self._calls = self._calls, deque()
        tokens = max(1, _ROUND_BATCHES * self.token_budget // len(calls))
        share = []
        for waiting in calls:
            if waiting.over:
                continue  # its own wait tells it so
            self._in_flight.append(waiting)
            # A small batch costs nearly a full one's time, so its items count for more.
            least = self.token_budget // (waiting.call.batch_size or _NO_LIMIT)
            share += [(waiting, item) for item in waiting.take(tokens, least)]
            if waiting.pending:
                self._calls.append(waiting)
        return share

    def _run_round(self, share: Share[Item, Result]) -> None:
        lengths = [waiting.lengths[item] for waiting, item in share]
        limits = [waiting.call.batch_size or _NO_LIMIT for waiting, _ in share]
        batches = plan(lengths, self.token_budget, limits)
        self._run_parts([[share[i] for i in batch] for batch in batches])
        padding = padding_ratio(lengths, batches)
        self.stats = self.stats.plus(len(batches), len(share), padding)

    def _run_batch(self, batch: Share[Item, Result]) -> None:
        """Run one batch; on failure split it until the items at fault stand alone."""
        batch = [(waiting, item) for waiting, item in batch if not waiting.over]
        if not batch:
            return
        if len(parts := self._fitting(batch)) > 1:  # the budget has shrunk since it was planned
            self._run_parts(parts)
            return
        try:
            with self.exclusive:
                results = self._run([waiting.items[item] for waiting, item in batch])
        except Exception as error:  # whatever a model may raise
            if len(batch) == 1:
                self._fail(batch[0][0], error)
                return
            parts = self._split(batch, error)
        else:
            for (waiting, item), result in zip(batch, results, strict=True):
                waiting.settle(item, result)
            return
        # Out here the error is gone, and with its traceback what the failed batch held in memory.
        self._run_parts(parts)

    def _run_parts(self, parts: list[Share[Item, Result]]) -> None:
        for part in parts:
            if not self._closed:
                self._run_batch(part)

    def _split(self, batch: Share[Item, Result], error: Exception) -> list[Share[Item, Result]]:
        """Return a failed batch of two or more items in smaller parts."""
        halves = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        if not ran_out(error):
            return halves
        # Half of what was too much, which is one item's length at least.
        most = len(batch) * max(waiting.lengths[item] for waiting, item in batch) // 2
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

    def _fail(self, waiting: Waiting[Item, Result], error: Exception) -> None:
        """Answer the call of an item that cannot be run even alone."""
        log.error("model %s failed on one item", self.name, exc_info=error)
        self.stats = replace(self.stats, failed_items=self.stats.failed_items + 1)
        what = "ran out of memory" if ran_out(error) else "failed"
        failure = InferenceError(f"model {self.name!r} {what} on one of the documents")
        failure.__cause__ = error
        waiting.fail(failure)
