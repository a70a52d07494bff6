"""What waits to be run: calls in turn, and batches made of a share of each.

A round takes a share of every waiting call, so a call of ten documents is not held up by one of
ten thousand; merges the shares, sorts them by length and plans batches bounded by padded tokens.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeAlias, TypeVar

from reranker.scheduling.batching import padding_ratio, plan, spread
from reranker.scheduling.job import Job
from reranker.scheduling.stats import SchedulerStats

Item = TypeVar("Item")
Result = TypeVar("Result")
Share: TypeAlias = list[tuple[Job[Item, Result], int]]  # items of waiting calls

_BATCHES = 4  # batches' worth of work merged and sorted at a time
_NO_LIMIT = 1 << 30


class BatchQueue(Generic[Item, Result]):
    """The work of a runner, which guards it with its lock.

    Attributes:
        calls: with items that are in no batch yet, the next in turn first.
        batches: of the present round that nobody has taken yet.
    """

    def __init__(self) -> None:
        self.calls: deque[Job[Item, Result]] = deque()
        self.batches: deque[Share[Item, Result]] = deque()

    def plan(self, token_budget: int, lanes: int, stats: SchedulerStats) -> SchedulerStats:
        """Make batches of a share of every waiting call; there may be none.

        Args:
            token_budget: the most padded tokens in a batch.
            lanes: how many batches run at a time.
            stats: counts so far.

        Returns:
            The counts with this round's.
        """
        share = self._take(token_budget)
        if not share:
            return stats
        lengths = [waiting.lengths[item] for waiting, item in share]
        limits = [waiting.context.batch_size or _NO_LIMIT for waiting, _ in share]
        batches = plan(lengths, spread(lengths, token_budget, lanes), limits)
        self.batches.extend([share[i] for i in batch] for batch in batches)
        return stats.plus(len(batches), len(share), padding_ratio(lengths, batches))

    def clear(self) -> list[Job[Item, Result]]:
        """Forget everything; return whose it was."""
        owners = [*self.calls, *(call for batch in self.batches for call, _ in batch)]
        self.calls.clear()
        self.batches.clear()
        return owners

    def _take(self, token_budget: int) -> Share[Item, Result]:
        """Take an equal share of tokens from every waiting call; calls with more go to the back."""
        if not self.calls:
            return []
        calls, self.calls = self.calls, deque()
        tokens = max(1, _BATCHES * token_budget // len(calls))
        share: Share[Item, Result] = []
        for waiting in calls:
            if waiting.over:
                continue  # its own wait tells it so
            # A small batch costs nearly a full one's time, so its items count for more.
            least = token_budget // (waiting.context.batch_size or _NO_LIMIT)
            share += [(waiting, item) for item in waiting.take(tokens, least)]
            if waiting.pending:
                self.calls.append(waiting)
        return share


def padded(batch: Share[Item, Result]) -> int:
    """Return the tokens of a batch with its padding."""
    return len(batch) * max(waiting.lengths[item] for waiting, item in batch)
