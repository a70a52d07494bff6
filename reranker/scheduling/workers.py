"""The worker threads of a scheduler, and how they share those of the tensor library."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

JobT = TypeVar("JobT")

_COUNTS = (1, 2, 4)


class _OwnCount(threading.local):
    """How many of the tensor library's threads serve each thread; 0 while it is not set."""

    value = 0


class IntraOpThreads:
    """The tensor library's threads, dealt out to the batches that run at a time.

    Args:
        total: how many there are.
        set_own: sets how many serve the thread that calls it.
    """

    def __init__(self, total: int = 1, set_own: Callable[[int], None] | None = None) -> None:
        self.total = total
        self._set_own = set_own
        self._own = _OwnCount()

    @property
    def counts(self) -> tuple[int, ...]:
        """Return the numbers of concurrent batches that share the threads out evenly."""
        return tuple(count for count in _COUNTS if self.total % count == 0)

    def share(self, batches: int) -> int:
        """Return how many serve each of so many concurrent batches."""
        return max(1, self.total // batches)

    def use(self, count: int) -> None:
        """Let so many threads serve the present one."""
        if self._set_own is not None and self._own.value != count:
            self._set_own(count)
            self._own.value = count

    def run_concurrently(self, times: int, run: Callable[[], object]) -> None:
        """Run the same work so many times at once and wait for all of it."""
        with ThreadPoolExecutor(times, initializer=self.use, initargs=(self.share(times),)) as pool:
            for done in [pool.submit(run) for _ in range(times)]:
                done.result()


def torch_threads(total: int) -> IntraOpThreads:
    """Return the threads of torch on a CPU, shared by all models."""
    import torch

    def set_own(count: int) -> None:
        # torch keeps the number per thread, but the first use on a thread takes the last number
        # that any thread has set; this is that first use. A program that runs torch on threads of
        # its own must set their number likewise.
        torch.get_num_threads()
        torch.set_num_threads(count)

    return IntraOpThreads(total, set_own)


class Worker(Generic[JobT]):
    """A thread that runs batches, one at a time.

    Attributes:
        thread: None while it is not started.
        threads: how many threads of the tensor library serve its current batch.
        in_hand: the jobs whose items are in that batch.
        running: held while a batch runs.
    """

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.threads = 1
        self.in_hand: list[JobT] = []
        self.running = threading.RLock()

    @property
    def dead(self) -> bool:
        """Whether its thread has ended."""
        thread = self.thread  # read once: another thread may reset it
        return thread is not None and not thread.is_alive()

    def start(self, serve: Callable[[Worker[JobT]], None], name: str) -> None:
        """Start its thread.

        Raises:
            RuntimeError: there can be no further thread.
        """
        thread = threading.Thread(target=serve, args=(self,), name=name, daemon=True)
        thread.start()
        self.thread = thread

    def reset(self) -> None:
        """Forget its thread, and the jobs it had in hand."""
        self.thread, self.in_hand = None, []
