"""Who is worked for now, who waits, and who is told to come back.

One permit a request, whatever its size. Those beyond the ones being worked on wait here, in
order of start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM
1996): each caller has a clock that runs by its own tokens, so who sends little waits little,
however much another sends. The queue is bounded in requests, in estimated tokens and in the
seconds they are expected to take; where it is full, the caller who fills it makes room.

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
_HALF_LIFE_SECONDS = 20.0  # of what the measured rate remembers
_LONGEST_RETRY_SECONDS = 120.0
_POLL_SECONDS = 0.05


class Pace:
    """Tokens done in a second of work, recent ones counting more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens = self._seconds = 0.0
        self._since = 0.0

    def begin(self) -> None:
        """Note that work begins after idle time, which does not count."""
        self._since = self._clock()

    def done(self, tokens: int) -> None:
        """Note that so many tokens are done."""
        now = self._clock()
        passed, self._since = now - self._since, now
        fade = 0.5 ** (passed / _HALF_LIFE_SECONDS)
        self._tokens = self._tokens * fade + tokens
        self._seconds = self._seconds * fade + passed

    def seconds(self, tokens: int) -> float:
        """Return how long so many tokens will take; 0 while nothing is known."""
        return tokens * self._seconds / self._tokens if self._tokens else 0.0


@dataclass(order=True, slots=True)
class _Waiter:
    start: float
    number: int
    who: str = field(compare=False)
    tokens: int = field(compare=False)
    turn: asyncio.Future[None] = field(compare=False)


class Permit:
    """The right to be worked for, given back once."""

    def __init__(self, give_back: Callable[[int], None], tokens: int) -> None:
        self._give_back: Callable[[int], None] | None = give_back
        self._tokens = tokens

    def release(self, *, done: bool = True) -> None:
        """Give it back; `done` says whether the work was, so that its tokens count."""
        if self._give_back is not None:
            give_back, self._give_back = self._give_back, None
            give_back(self._tokens if done else 0)


class Admission:
    """Gives permits.

    Args:
        concurrent: requests worked on at the same time.
        queue: requests that may wait beside them.
        queue_tokens: estimated tokens that may wait; one request may wait whatever its size.
        queue_seconds: how long what waits may be expected to take.
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
        self.working = 0
        self.open = True
        self.pace = Pace()
        self._heap: list[_Waiter] = []
        self._tokens: Counter[str] = Counter()  # waiting, by caller
        self._clock = 0.0  # start of the one served last
        self._finish: dict[str, float] = {}  # where each caller's own clock stands
        self._numbers = itertools.count()

    @property
    def held(self) -> int:
        """Return how many requests are inside, worked on or waiting."""
        return self.working + self.waiting

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
        who: str,
        tokens: int,
        context: RequestContext,
        gone: asyncio.Future[None] | None = None,
    ) -> Permit:
        """Wait for a permit.

        Args:
            who: the caller's name; callers share evenly.
            tokens: what the work is expected to cost.
            context: its deadline bounds the wait.
            gone: done when nobody waits for the answer any more.

        Raises:
            Overloaded: no room; `retry_after` follows from the measured rate.
            ShuttingDown: the server lets nobody in any more.
            DeadlineExceeded: the wait was too long, or the caller has gone.
        """
        if not self.open:
            raise ShuttingDown
        if self.working < self._concurrent and not self._heap:
            return self._grant(tokens)
        with self._place(who, tokens, context) as waiter:
            others = [gone] if gone is not None else []
            await asyncio.wait(
                [waiter.turn, *others],
                timeout=max(0.0, context.remaining()) if context.deadline is not None else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if waiter.turn.done():
                waiter.turn.result()
                return Permit(self._leave, tokens)
            if gone is not None and gone.done():
                raise Cancelled("the request was cancelled")
            raise DeadlineExceeded("the deadline passed before the ranking was begun")

    def close(self) -> None:
        """Let nobody in any more; those who wait are still served."""
        self.open = False

    async def drained(self, seconds: float) -> bool:
        """Wait until nobody is inside, at most so long; return whether it is so."""
        end = time.monotonic() + seconds
        while self.held and time.monotonic() < end:
            await asyncio.sleep(_POLL_SECONDS)
        return not self.held

    @contextlib.contextmanager
    def _place(self, who: str, tokens: int, context: RequestContext) -> Iterator[_Waiter]:
        """Stand in the queue for the length of the block."""
        self._make_room(who, tokens, context)
        start = max(self._clock, self._finish.get(who, 0.0))
        self._finish[who] = start + tokens
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(start, next(self._numbers), who, tokens, turn)
        heapq.heappush(self._heap, waiter)
        self._tokens[who] += tokens
        try:
            yield waiter
        except BaseException:
            if not turn.done():
                self._remove(waiter)
            elif turn.exception() is None:  # the turn came as the waiting broke off
                self._leave(0)
            raise

    def _make_room(self, who: str, tokens: int, context: RequestContext) -> None:
        """Raise Overloaded unless there is room, or the caller who fills the queue can make it."""
        ahead, share = self.waiting_tokens, self._tokens[who] + tokens
        # Callers take turns, so another's long queue is not one's own.
        own = self.pace.seconds(min(ahead, share * len({who, *self._tokens})))
        if not self._full(ahead, tokens) and own <= max(0.0, context.remaining()):
            return
        retry = min(_LONGEST_RETRY_SECONDS, self.pace.seconds(ahead))
        if self._heap and own <= max(0.0, context.remaining()):
            greedy, most = self._tokens.most_common(1)[0]
            last = max(waiter for waiter in self._heap if waiter.who == greedy)
            fits = ahead - last.tokens + tokens <= max(self._queue_tokens, ahead)
            if greedy != who and most - last.tokens >= share and fits:
                self._remove(last)
                last.turn.set_exception(Overloaded(_BUSY, retry_after=retry))
                return
        raise Overloaded(_BUSY, retry_after=retry)

    def _full(self, ahead: int, tokens: int) -> bool:
        return (
            self.waiting >= self._queue
            or (ahead > 0 and ahead + tokens > self._queue_tokens)
            or self.pace.seconds(ahead) > self._queue_seconds
        )

    def _grant(self, tokens: int) -> Permit:
        if self.working == 0:
            self.pace.begin()
        self.working += 1
        return Permit(self._leave, tokens)

    def _leave(self, tokens: int) -> None:
        self.working -= 1
        self.pace.done(tokens)
        while self._heap and self.working < self._concurrent:
            waiter = self._heap[0]
            self._remove(waiter)
            self._clock = waiter.start
            self._grant(waiter.tokens)
            waiter.turn.set_result(None)
        if not self._heap:  # clocks matter only among those who wait
            self._finish.clear()

    def _remove(self, waiter: _Waiter) -> None:
        self._heap.remove(waiter)
        heapq.heapify(self._heap)
        self._tokens[waiter.who] -= waiter.tokens
        if not self._tokens[waiter.who]:
            del self._tokens[waiter.who]
