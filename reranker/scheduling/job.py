"""A job of a scheduler: items, what has become of them, and the result its caller waits for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from reranker.types import RequestContext

Item = TypeVar("Item")
Result = TypeVar("Result")


class Job(Generic[Item, Result]):
    """One caller's items and what has become of them."""

    def __init__(
        self, items: Sequence[Item], lengths: Sequence[int], context: RequestContext
    ) -> None:
        self.items = items
        self.lengths = lengths
        self.context = context
        # Longest first: neighbours in a share have like lengths, and memory peaks at the start.
        self.pending = deque(sorted(range(len(items)), key=lambda i: -lengths[i]))
        self.results: list[Result | None] = [None] * len(items)
        self.left = len(items)
        self.error: Exception | None = None
        self.done = threading.Event()

    @property
    def over(self) -> bool:
        """Whether nothing more need be done for it."""
        return self.done.is_set() or self.context.over

    def take(self, tokens: int, least: int) -> Iterator[int]:
        """Give up items worth about that many tokens, one at least; each counts `least` or more."""
        while self.pending and tokens > 0:
            tokens -= max(least, self.lengths[self.pending[0]])
            yield self.pending.popleft()

    def settle(self, item: int, result: Result) -> None:
        """Put an item's result in its place; the last one answers the caller."""
        self.results[item] = result
        self.left -= 1
        if self.left == 0:
            self.done.set()

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless there is an answer already."""
        self.pending.clear()
        if not self.done.is_set():
            self.error = error
            self.done.set()
