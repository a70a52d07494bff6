"""Memory that runs out makes batches smaller; only what does not fit alone fails."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Callable, Sequence

import pytest
import torch

from reranker.errors import InferenceError
from reranker.scheduling.batch_runner import SchedulerConfig
from reranker.scheduling.out_of_memory import is_out_of_memory
from reranker.scheduling.scheduler import BatchScheduler
from reranker.types import RequestContext

CPU = "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"
CUDA = "CUDA out of memory. Tried to allocate 20.00 MiB."
ERRORS: list[Callable[[], Exception]] = [
    MemoryError,
    lambda: RuntimeError(CPU),
    lambda: RuntimeError("CUDA error: out of memory"),
    lambda: torch.OutOfMemoryError(CUDA),
    lambda: RuntimeError("Exception from src/inference/src/cpp/infer_request.cpp: std::bad_alloc"),
]


class Small:
    """A model that fails on batches of more padded tokens than fit."""

    def __init__(self, room: int, error: Callable[[], Exception] = MemoryError) -> None:
        self.room = room
        self.error = error
        self.tried: list[int] = []

    def __call__(self, batch: list[str]) -> Sequence[str]:
        self.tried.append(len(batch) * max(map(len, batch)))
        if self.tried[-1] > self.room:
            raise self.error()
        return [text.upper() for text in batch]


def new_scheduler(
    model: Callable[[list[str]], Sequence[str]], budget: int = 1000
) -> BatchScheduler[str, str]:
    return BatchScheduler("small", model, len, SchedulerConfig(budget))


@pytest.mark.parametrize("error", ERRORS)
def test_every_message_is_recognized(error: Callable[[], Exception]) -> None:
    assert is_out_of_memory(error())
    outer = ValueError("the batch failed")
    outer.__cause__ = error()
    assert is_out_of_memory(outer)


@pytest.mark.parametrize(
    "error", [RuntimeError("expected scalar type"), ValueError("out of memory"), KeyError("memory")]
)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("error", ERRORS)
def test_the_budget_is_halved_and_the_same_items_are_run_again(
    error: Callable[[], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    model = Small(300, error)
    scheduler = new_scheduler(model)
    texts = [f"text {i:05d}" for i in range(500)]
    with caplog.at_level(logging.WARNING):
        assert scheduler(texts, RequestContext()) == [text.upper() for text in texts]
    assert scheduler.config.max_batch_tokens == 250
    assert scheduler.stats.halvings == 2
    assert scheduler.stats.failed_items == 0
    warned = [r.getMessage() for r in caplog.records if "ran out of memory" in r.getMessage()]
    assert [text.split("now of ")[1].split()[0] for text in warned] == ["500", "250"]
    assert sum(tokens > 300 for tokens in model.tried) == 2, "nothing is tried that will not fit"
    scheduler.close()


def test_a_lowered_budget_stays_for_the_calls_after_it() -> None:
    model = Small(300)
    scheduler = new_scheduler(model)
    scheduler(["x" * 10] * 200, RequestContext())
    model.tried.clear()
    scheduler(["x" * 10] * 200, RequestContext())
    assert max(model.tried) <= scheduler.config.max_batch_tokens == 250
    scheduler.close()


def test_a_batch_far_below_the_budget_halves_its_own_size_and_not_just_the_budget() -> None:
    model = Small(60)
    scheduler = new_scheduler(model, budget=1_000_000)
    assert scheduler(["x" * 10] * 8, RequestContext()) == ["X" * 10] * 8
    assert model.tried[:3] == [80, 40, 40]
    scheduler.close()


def test_an_item_that_does_not_fit_alone_fails_its_call_alone() -> None:
    model = Small(30)
    scheduler = new_scheduler(model)
    with pytest.raises(InferenceError, match="ran out of memory") as caught:
        scheduler(["x" * 31, "ok"], RequestContext())
    assert isinstance(caught.value.__cause__, MemoryError)
    assert scheduler(["fine"] * 20, RequestContext()) == ["FINE"] * 20
    assert scheduler.stats.failed_items == 1
    assert scheduler.config.max_batch_tokens >= 1
    scheduler.close()


def test_items_without_length_are_run_one_by_one_in_the_end() -> None:
    sizes: list[int] = []

    def one_by_one(batch: list[str]) -> Sequence[str]:
        sizes.append(len(batch))
        if len(batch) > 1:
            raise MemoryError
        return batch

    scheduler = new_scheduler(one_by_one)
    assert scheduler([""] * 5, RequestContext()) == [""] * 5
    assert (sizes[0], sizes.count(1)) == (5, 5)
    scheduler.close()


def test_an_error_of_another_kind_leaves_the_budget_alone() -> None:
    def broken(batch: list[str]) -> Sequence[str]:
        if "bad" in batch:
            raise RuntimeError("cannot read it")
        return batch

    scheduler = new_scheduler(broken)
    with pytest.raises(InferenceError):
        scheduler(["bad", "good", "fine"], RequestContext())
    assert (scheduler.config.max_batch_tokens, scheduler.stats.halvings) == (1000, 0)
    scheduler.close()


def test_the_failed_batch_is_let_go_before_it_is_run_again() -> None:
    class Tensor:
        """Stands for what a forward pass holds."""

    held: list[weakref.ref[Tensor]] = []
    alive: list[bool] = []
    lock = threading.Lock()

    def hungry(batch: list[str]) -> Sequence[str]:
        with lock:
            alive.append(any(ref() is not None for ref in held))
        own = Tensor()
        held.append(weakref.ref(own))
        if len(batch) > 1:
            raise MemoryError
        return batch

    scheduler = new_scheduler(hungry)
    gc.disable()
    try:
        scheduler(["a", "b", "c", "d"], RequestContext())
    finally:
        gc.enable()
    assert not any(alive)
    scheduler.close()
