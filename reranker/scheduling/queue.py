"""The queue of a scheduler: jobs in turn, and batches formed of a share of each.

A round takes a share of every job, so a job of ten documents is not held up by one of ten
thousand; merges the shares, sorts them by length and plans batches bounded by padded tokens.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, TypeAlias, TypeVar

from reranker.scheduling.batching import padding_ratio, plan, spread
from reranker.scheduling.stats import SchedulerStats
from reranker.types import RequestContext

Item = TypeVar("Item")
Result = TypeVar("Result")

_BATCHES = 4  # batches' worth of work merged and sorted at a time
_NO_LIMIT = 1 << 30


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


Batch: TypeAlias = list[tuple[Job[Item, Result], int]]  # items of jobs


class BatchQueue(Generic[Item, Result]):
    """The work of a scheduler, which guards it with its lock.

    Attributes:
        jobs: with items that are in no batch yet, the next in turn first.
        batches: of the present round that no worker has taken yet.
    """

    def __init__(self) -> None:
        self.jobs: deque[Job[Item, Result]] = deque()
        self.batches: deque[Batch[Item, Result]] = deque()

    def plan(
        self, max_batch_tokens: int, concurrent_batches: int, stats: SchedulerStats
    ) -> SchedulerStats:
        """Form batches of a share of every job; there may be none.

        Args:
            max_batch_tokens: the most padded tokens in a batch.
            concurrent_batches: how many batches run at a time.
            stats: counts so far.

        Returns:
            The counts with this round's.
        """
        share = self._take(max_batch_tokens)
        if not share:
            return stats
        lengths = [job.lengths[item] for job, item in share]
        limits = [job.context.batch_size or _NO_LIMIT for job, _ in share]
        batches = plan(lengths, spread(lengths, max_batch_tokens, concurrent_batches), limits)
        self.batches.extend([share[i] for i in batch] for batch in batches)
        return stats.plus(len(batches), len(share), padding_ratio(lengths, batches))

    def clear(self) -> list[Job[Item, Result]]:
        """Forget everything; return the jobs."""
        owners = [*self.jobs, *(job for batch in self.batches for job, _ in batch)]
        self.jobs.clear()
        self.batches.clear()
        return owners

    def _take(self, max_batch_tokens: int) -> Batch[Item, Result]:
        """Take an equal share of tokens from every job; jobs with more go to the back."""
        if not self.jobs:
            return []
        jobs, self.jobs = self.jobs, deque()
        tokens = max(1, _BATCHES * max_batch_tokens // len(jobs))
        share: Batch[Item, Result] = []
        for job in jobs:
            if job.over:
                continue  # its caller notices while it waits
            # A small batch costs nearly a full one's time, so its items count for more.
            least = max_batch_tokens // (job.context.batch_size or _NO_LIMIT)
            share += [(job, item) for item in job.take(tokens, least)]
            if job.pending:
                self.jobs.append(job)
        return share


def padded_tokens(batch: Batch[Item, Result]) -> int:
    """Return the tokens of a batch with its padding."""
    return len(batch) * max(job.lengths[item] for job, item in batch)
