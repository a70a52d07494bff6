"""How many requests are let in: one permit each, whatever their size.

A permit is held from the parsed body to the answer. Those beyond the ones being worked on
wait in the thread pool's queue; beyond the queue a request is refused at once, with a hint
of when to come back that follows from how long requests have been taking.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from reranker.errors import ModelUnavailable, Overloaded

_SMOOTHING = 0.1  # weight of the newest request in the running mean


class Admission:
    """Counts permits.

    Args:
        concurrent: requests worked on at the same time.
        queue: requests that may wait beside them.
    """

    def __init__(self, concurrent: int, queue: int) -> None:
        self._concurrent = concurrent
        self._most = concurrent + queue
        self._held = 0
        self._seconds = 1.0
        self._open = True
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Return how many requests are inside."""
        return self._held

    @contextlib.contextmanager
    def permit(self) -> Iterator[None]:
        """Hold a permit for the length of the block.

        Raises:
            Overloaded: none is left.
            ModelUnavailable: the server is shutting down.
        """
        with self._lock:
            if not self._open:
                raise ModelUnavailable("the server is shutting down")
            if self._held >= self._most:
                waiting = self._held / self._concurrent
                raise Overloaded(
                    "the server is busy; try again", retry_after=self._seconds * waiting
                )
            self._held += 1
        start = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._held -= 1
                self._seconds += _SMOOTHING * (time.monotonic() - start - self._seconds)

    def close(self) -> None:
        """Let nobody in any more."""
        with self._lock:
            self._open = False
