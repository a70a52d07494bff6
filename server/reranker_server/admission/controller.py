"""Admission control: fair queueing with load shedding (429).

One permit per request, whatever its size. Requests beyond the concurrent ones wait here, in
order of start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM
1996): each caller has a virtual clock that advances by its own tokens, so a caller who sends
little waits little, however much another sends. The queue is bounded in requests, in estimated
tokens and in expected seconds; when it is full, the caller who fills it most loses its last.

All of it runs on the event loop, so there are no locks.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reranker.errors import Cancelled, DeadlineExceeded, Overloaded
from reranker_server.errors import ShuttingDown

if TYPE_CHECKING:
    from reranker.types import RequestContext

_BUSY = "the server is busy; try again"
_HALF_LIFE_SECONDS = 20.0  # of the throughput average
_LONGEST_RETRY_SECONDS = 120.0
_POLL_SECONDS = 0.05


class Throughput:
    """Tokens per second of work, an average that decays exponentially."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens = self._seconds = 0.0
        self._since = 0.0

    def begin(self) -> None:
        """Start the clock: idle time does not count."""
        self._since = self._clock()

    def done(self, tokens: int) -> None:
        """Count finished tokens."""
        now = self._clock()
        passed, self._since = now - self._since, now
        fade = 0.5 ** (passed / _HALF_LIFE_SECONDS)
        self._tokens = self._tokens * fade + tokens
        self._seconds = self._seconds * fade + passed

    def seconds(self, tokens: int) -> float:
        """Return how long so many tokens will take; 0 while nothing is measured."""
        return tokens * self._seconds / self._tokens if self._tokens else 0.0


@dataclass(order=True, slots=True)
class _Waiter:
    start: float
    number: int
    caller: str = field(compare=False)
    tokens: int = field(compare=False)
    granted: asyncio.Future[None] = field(compare=False)


class Permit:
    """The right to run, released once."""

    def __init__(self, release: Callable[[int], None], tokens: int) -> None:
        self._release: Callable[[int], None] | None = release
        self._tokens = tokens

    def release(self, *, done: bool = True) -> None:
        """Release it; `done` says whether the work finished, so that its tokens count."""
        if self._release is not None:
            release, self._release = self._release, None
            release(self._tokens if done else 0)


class AdmissionController:
    """Grants permits.

    Args:
        concurrent: requests that run at the same time.
        queue: requests that may wait.
        queue_tokens: estimated tokens that may wait; one request may wait whatever its size.
        queue_seconds: the most seconds that the queue may be expected to take.
    """

    def __init__(
        self,
        concurrent: int,
        queue: int,
        queue_tokens: int | None = None,
        queue_seconds: float = math.inf,
    ) -> None:
        self._concurrent, self._queue = concurrent, queue
        self._queue_tokens = queue_tokens or math.inf
        self._queue_seconds = queue_seconds
        self.running = 0
        self.open = True
        self.throughput = Throughput()
        self._heap: list[_Waiter] = []
        self._tokens: Counter[str] = Counter()  # waiting, by caller
        self._clock = 0.0  # start of the one served last
        self._finish: dict[str, float] = {}  # where each caller's own clock stands
        self._numbers = itertools.count()

    @property
    def in_flight(self) -> int:
        """Return how many requests run or wait."""
        return self.running + self.waiting

    @property
    def waiting(self) -> int:
        """Return how many requests wait."""
        return len(self._heap)

    @property
    def waiting_tokens(self) -> int:
        """Return the estimated tokens that wait."""
        return sum(self._tokens.values())

    async def enter(
        self,
        caller: str,
        tokens: int,
        context: RequestContext,
        disconnected: asyncio.Future[None] | None = None,
    ) -> Permit:
        """Wait for a permit.

        Args:
            caller: name of the key; callers share evenly.
            tokens: what the work is expected to cost.
            context: its deadline bounds the wait.
            disconnected: done when the client has disconnected.

        Raises:
            Overloaded: no room; `retry_after` follows from the measured rate.
            ShuttingDown: the server accepts no new requests.
            DeadlineExceeded: the wait was too long, or the client has disconnected.
        """
        if not self.open:
            raise ShuttingDown
        if self.running < self._concurrent and not self._heap:
            return self._grant(tokens)
        with self._enqueue(caller, tokens, context) as waiter:
            others = [disconnected] if disconnected is not None else []
            await asyncio.wait(
                [waiter.granted, *others],
                timeout=max(0.0, context.remaining()) if context.deadline is not None else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if waiter.granted.done():
                waiter.granted.result()
                return Permit(self._leave, tokens)
            if disconnected is not None and disconnected.done():
                raise Cancelled("the request was cancelled")
            raise DeadlineExceeded("the deadline passed before the ranking began")

    def close(self) -> None:
        """Accept no new requests; those that wait are still served."""
        self.open = False

    async def drained(self, seconds: float) -> bool:
        """Wait at most so long until no request is left; return whether none is."""
        end = time.monotonic() + seconds
        while self.in_flight and time.monotonic() < end:
            await asyncio.sleep(_POLL_SECONDS)
        return not self.in_flight

    @contextlib.contextmanager
    def _enqueue(self, caller: str, tokens: int, context: RequestContext) -> Iterator[_Waiter]:
        """Wait in the queue for the length of the block."""
        self._make_room(caller, tokens, context)
        start = max(self._clock, self._finish.get(caller, 0.0))
        self._finish[caller] = start + tokens
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(start, next(self._numbers), caller, tokens, granted)
        heapq.heappush(self._heap, waiter)
        self._tokens[caller] += tokens
        try:
            yield waiter
        except BaseException:
            if not granted.done():
                self._remove(waiter)
            elif granted.exception() is None:  # it was granted as the waiting broke off
                self._leave(0)
            raise

    def _make_room(self, caller: str, tokens: int, context: RequestContext) -> None:
        """Raise Overloaded unless there is room, or the caller who fills the queue can make it."""
        ahead, share = self.waiting_tokens, self._tokens[caller] + tokens
        # Callers are served in turn, so the wait depends on the caller's own queue.
        own = self.throughput.seconds(min(ahead, share * len({caller, *self._tokens})))
        if not self._full(ahead, tokens) and own <= max(0.0, context.remaining()):
            return
        retry = min(_LONGEST_RETRY_SECONDS, self.throughput.seconds(ahead))
        if self._heap and own <= max(0.0, context.remaining()):
            greedy, most = self._tokens.most_common(1)[0]
            last = max(waiter for waiter in self._heap if waiter.caller == greedy)
            fits = ahead - last.tokens + tokens <= max(self._queue_tokens, ahead)
            if greedy != caller and most - last.tokens >= share and fits:
                self._remove(last)
                last.granted.set_exception(Overloaded(_BUSY, retry_after=retry))
                return
        raise Overloaded(_BUSY, retry_after=retry)

    def _full(self, ahead: int, tokens: int) -> bool:
        return (
            self.waiting >= self._queue
            or (ahead > 0 and ahead + tokens > self._queue_tokens)
            or self.throughput.seconds(ahead) > self._queue_seconds
        )

    def _grant(self, tokens: int) -> Permit:
        if self.running == 0:
            self.throughput.begin()
        self.running += 1
        return Permit(self._leave, tokens)

    def _leave(self, tokens: int) -> None:
        self.running -= 1
        self.throughput.done(tokens)
        while self._heap and self.running < self._concurrent:
            waiter = self._heap[0]
            self._remove(waiter)
            self._clock = waiter.start
            self._grant(waiter.tokens)
            waiter.granted.set_result(None)
        if not self._heap:  # clocks matter only while requests wait
            self._finish.clear()

    def _remove(self, waiter: _Waiter) -> None:
        self._heap.remove(waiter)
        heapq.heapify(self._heap)
        self._tokens[waiter.caller] -= waiter.tokens
        if not self._tokens[waiter.caller]:
            del self._tokens[waiter.caller]
