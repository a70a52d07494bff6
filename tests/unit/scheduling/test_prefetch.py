import threading
import time

import pytest

from reranker.scheduling.prefetch import map_with_prefetch, prefetch_size
from reranker.telemetry import collect, timed


def _double(items: list[int]) -> list[int]:
    return [2 * each for each in items]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_results_are_in_order_whatever_the_parts(count: int) -> None:
    items = list(range(count))
    assert map_with_prefetch(items, list, _double, part=3) == _double(items)


def test_the_next_part_is_prepared_while_one_runs() -> None:
    prepared = {0: threading.Event(), 2: threading.Event()}

    def prepare(items: list[int]) -> list[int]:
        prepared[items[0]].set()
        return items

    def run(items: list[int]) -> list[int]:
        assert prepared[2].wait(5)  # the second part, also while the first runs
        return items

    assert map_with_prefetch([0, 1, 2, 3], prepare, run, part=2) == [0, 1, 2, 3]


def test_a_failed_preparation_reaches_the_caller() -> None:
    def prepare(items: list[int]) -> list[int]:
        if 3 in items:
            raise ValueError("no token")
        return items

    with pytest.raises(ValueError, match="no token"):
        map_with_prefetch([1, 2, 3, 4], prepare, _double, part=2)


def test_a_failed_run_ends_the_call() -> None:
    ran = []

    def run(items: list[int]) -> list[int]:
        ran.append(items)
        raise RuntimeError("out")

    with pytest.raises(RuntimeError, match="out"):
        map_with_prefetch(range(10), list, run, part=2)
    assert len(ran) == 1


def test_a_failed_run_does_not_wait_for_what_is_being_prepared() -> None:
    may_end = threading.Event()

    def prepare(items: list[int]) -> list[int]:
        if items[0] > 0:
            may_end.wait(30)
        return items

    def run(items: list[int]) -> list[int]:
        raise RuntimeError("out")

    start = time.monotonic()
    with pytest.raises(RuntimeError, match="out"):
        map_with_prefetch([0, 1, 2, 3], prepare, run, part=2)
    assert time.monotonic() - start < 10
    may_end.set()


def test_a_part_fills_a_batch_of_short_texts() -> None:
    assert prefetch_size(2048) == 256
    assert prefetch_size(65_536) * 16 >= 65_536


def test_time_spent_prefetching_is_counted() -> None:
    def prepare(items: list[int]) -> list[int]:
        with timed("tokenize"):
            return items

    with collect() as spent:
        map_with_prefetch([1, 2, 3], prepare, _double, part=1)
    assert spent["tokenize"] > 0
