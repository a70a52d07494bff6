"""How the tensor library's threads are shared."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from reranker.scheduling.workers import IntraOpThreads, Worker, torch_threads


@pytest.mark.parametrize(
    ("total", "counts"), [(1, (1,)), (2, (1, 2)), (3, (1,)), (6, (1, 2)), (16, (1, 2, 4))]
)
def test_concurrent_batches_share_the_threads_out_evenly(
    total: int, counts: tuple[int, ...]
) -> None:
    assert IntraOpThreads(total).counts == counts
    assert [IntraOpThreads(total).share(count) * count for count in counts] == [total] * len(counts)


def test_the_number_is_set_once_for_each_thread() -> None:
    calls: list[tuple[str, int]] = []
    threads = IntraOpThreads(
        4, lambda count: calls.append((threading.current_thread().name, count))
    )
    with ThreadPoolExecutor(1, thread_name_prefix="other") as other:
        for count in (4, 4, 2):
            threads.use(count)
        other.submit(threads.use, 2).result()
    assert [count for _, count in calls] == [4, 2, 2]
    assert calls[-1][0].startswith("other")


def test_work_at_once_runs_on_threads_of_its_own_with_a_share_each() -> None:
    calls: list[int] = []
    meet = threading.Barrier(2)  # neither gets past it alone
    IntraOpThreads(4, calls.append).run_concurrently(2, lambda: meet.wait(20))
    assert calls == [2, 2]


def test_torch_keeps_the_number_apart_for_each_thread() -> None:
    threads = torch_threads(2)
    before = torch.get_num_threads()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(threads.use, 1).result()
        other.submit(threads.use, 2).result()
        assert one.submit(torch.get_num_threads).result() == 1
        assert other.submit(torch.get_num_threads).result() == 2
    assert torch.get_num_threads() == before


def test_a_worker_is_dead_once_its_thread_has_ended_and_may_start_again() -> None:
    worker: Worker[str] = Worker()
    assert not worker.dead
    worker.start(lambda worker: None, "thread")
    assert worker.thread is not None
    worker.thread.join()
    assert worker.dead
    worker.reset()
    assert not worker.dead
