"""Lanes: the worker threads of a runner, and how they share those of the tensor library."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from reranker.backends.device import Hardware
    from reranker.backends.variants import ExecutionVariants

JobT = TypeVar("JobT")

_COUNTS = (1, 2, 4)


class IntraOpThreads:
    """The tensor library's threads, dealt out to the batches that run at a time.

    Args:
        total: how many there are.
        set_own: sets how many serve the thread that calls it.
    """

    def __init__(self, total: int = 1, set_own: Callable[[int], None] | None = None) -> None:
        self.total = total
        self._set_own = set_own
        self._own = threading.local()

    @property
    def counts(self) -> tuple[int, ...]:
        """Return the numbers of lanes that deal the threads out evenly."""
        return tuple(count for count in _COUNTS if self.total % count == 0)

    def share(self, lanes: int) -> int:
        """Return how many serve each of so many batches."""
        return max(1, self.total // lanes)

    def use(self, count: int) -> None:
        """Have so many threads serve the present one."""
        if self._set_own is not None and getattr(self._own, "count", None) != count:
            self._set_own(count)
            self._own.count = count

    def at_once(self, lanes: int, run: Callable[[], object]) -> None:
        """Run the same work in so many lanes and wait for all of it."""
        with ThreadPoolExecutor(lanes, initializer=self.use, initargs=(self.share(lanes),)) as pool:
            for done in [pool.submit(run) for _ in range(lanes)]:
                done.result()


def intra_op_threads(hardware: Hardware) -> IntraOpThreads:
    """Return the threads that models share on this hardware; beside a CPU they do not count."""
    if hardware.device != "cpu":
        return IntraOpThreads()
    import torch

    def set_own(count: int) -> None:
        # torch keeps the number for each thread, but the first use on one takes over the last
        # number that any thread has set; this is that first use. A program around the engine
        # that runs torch on new threads of its own sets their number likewise.
        torch.get_num_threads()
        torch.set_num_threads(count)

    return IntraOpThreads(hardware.threads, set_own)


def default_workers(threads: IntraOpThreads, ways: ExecutionVariants) -> int:
    """Return how many batches run at a time where nothing was measured.

    Two, which gained on every CPU so far; one where a second would have to wait: exported
    networks take all threads, and some networks change while they run.
    """
    if len(threads.counts) == 1 or ways.backend != "torch" or ways.keeps_state:
        return 1
    return threads.counts[1]


class Worker(Generic[JobT]):
    """One worker.

    Attributes:
        thread: of the worker; None while there is none.
        threads: of the tensor library that serve its present batch.
        in_hand: the calls whose items are in that batch.
        running: held while a batch runs.
    """

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.threads = 1
        self.in_hand: list[JobT] = []
        self.running = threading.RLock()

    @property
    def dead(self) -> bool:
        """Whether its worker has ended."""
        thread = self.thread  # may be forgotten while it is looked at
        return thread is not None and not thread.is_alive()

    def start(self, serve: Callable[[Worker[JobT]], None], name: str) -> None:
        """Start its worker.

        Raises:
            RuntimeError: there can be no further thread.
        """
        thread = threading.Thread(target=serve, args=(self,), name=name, daemon=True)
        thread.start()
        self.thread = thread

    def reset(self) -> None:
        """Forget a worker that has ended, and what it had in hand."""
        self.thread, self.in_hand = None, []
