"""How the tensor library's threads are dealt out."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from support.models import FLOAT32

from reranker.backends.device import Hardware
from reranker.scheduling.workers import IntraOpThreads, Worker, intra_op_threads


@pytest.mark.parametrize(
    ("total", "counts"), [(1, (1,)), (2, (1, 2)), (3, (1,)), (6, (1, 2)), (16, (1, 2, 4))]
)
def test_lanes_deal_the_threads_out_evenly(total: int, counts: tuple[int, ...]) -> None:
    assert IntraOpThreads(total).counts == counts
    assert [IntraOpThreads(total).share(count) * count for count in counts] == [total] * len(counts)


def test_the_number_is_set_once_for_each_thread() -> None:
    told: list[tuple[str, int]] = []
    threads = IntraOpThreads(4, lambda count: told.append((threading.current_thread().name, count)))
    with ThreadPoolExecutor(1, thread_name_prefix="other") as other:
        for count in (4, 4, 2):
            threads.use(count)
        other.submit(threads.use, 2).result()
    assert [count for _, count in told] == [4, 2, 2]
    assert told[-1][0].startswith("other")


def test_work_at_once_runs_on_threads_of_its_own_with_a_share_each() -> None:
    told: list[int] = []
    meet = threading.Barrier(2)  # neither gets past it alone
    IntraOpThreads(4, told.append).at_once(2, lambda: meet.wait(20))
    assert told == [2, 2]


def test_torch_keeps_the_number_apart_for_each_thread() -> None:
    threads = intra_op_threads(FLOAT32)
    before = torch.get_num_threads()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(threads.use, 1).result()
        other.submit(threads.use, 2).result()
        assert one.submit(torch.get_num_threads).result() == 1
        assert other.submit(torch.get_num_threads).result() == 2
    assert torch.get_num_threads() == before


def test_beside_a_cpu_there_is_one_lane() -> None:
    assert intra_op_threads(Hardware("cuda", "float16", 16, 65536)).counts == (1,)


def test_a_lane_is_dead_once_its_worker_has_ended_and_may_start_anew() -> None:
    lane: Worker[str] = Worker()
    assert not lane.dead
    lane.start(lambda lane: None, "worker")
    assert lane.thread is not None
    lane.thread.join()
    assert lane.dead
    lane.reset()
    assert not lane.dead
