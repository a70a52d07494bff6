"""The promises of the scheduler, kept under threads, failures and dead workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from reranker.errors import Cancelled, DeadlineExceeded, InferenceError, ModelUnavailable
from reranker.scheduling.batch_runner import SchedulerConfig
from reranker.scheduling.scheduler import BatchScheduler
from reranker.scheduling.workers import IntraOpThreads, Worker
from reranker.types import RequestContext

WAIT = 20.0  # seconds: long enough for a loaded machine, short enough to see a hang


class Model:
    """A model of strings: its answer to a text is the text in capitals.

    It notes every batch, and can be held until a test lets it go on.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.fault: Callable[[str], BaseException | None] = lambda text: None

    def __call__(self, batch: list[str]) -> Sequence[str]:
        self.threads.add(threading.current_thread().name)
        self.batches.append(list(batch))
        self.entered.release()
        assert self.gate.wait(WAIT)
        for text in batch:
            if (fault := self.fault(text)) is not None:
                raise fault
        return [text.upper() for text in batch]

    def hold(self) -> None:
        self.gate.clear()

    def wait_inside(self) -> None:
        assert self.entered.acquire(timeout=WAIT)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def scheduler(model: Model) -> Iterator[BatchScheduler[str, str]]:
    new: BatchScheduler[str, str] = BatchScheduler("test", model, len, SchedulerConfig(40))
    yield new
    model.gate.set()
    new.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as executor:
        yield executor


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.002)


def block(scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor) -> object:
    """Keep the worker busy with one item, so that what comes next has to wait together."""
    model.hold()
    first = pool.submit(scheduler, ["first"], RequestContext())
    model.wait_inside()
    return first


def close_meanwhile(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    """Close a scheduler whose batches are held, and let them go on once it is closing."""
    closing = pool.submit(scheduler.close)
    until(lambda: not scheduler.alive)
    model.gate.set()
    closing.result(WAIT)


def test_results_come_back_in_the_order_of_the_items(scheduler: BatchScheduler[str, str]) -> None:
    texts = [f"{'x' * (i * 7 % 23)}{i}" for i in range(200)]
    assert scheduler(texts, RequestContext()) == [text.upper() for text in texts]


def test_no_items_need_no_worker(scheduler: BatchScheduler[str, str], model: Model) -> None:
    assert scheduler([], RequestContext()) == []
    assert model.threads == set()


def test_equal_items_each_get_a_result(scheduler: BatchScheduler[str, str]) -> None:
    assert scheduler(["same"] * 30, RequestContext()) == ["SAME"] * 30


def test_calls_that_wait_together_are_merged_into_one_batch(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    block(scheduler, model, pool)
    calls = [pool.submit(scheduler, [f"call{i}"], RequestContext()) for i in range(8)]
    until(lambda: scheduler.waiting_jobs == 8)
    model.gate.set()
    assert [call.result(WAIT) for call in calls] == [[f"CALL{i}"] for i in range(8)]
    # Eight items of five tokens are just the budget of forty.
    assert [len(batch) for batch in model.batches] == [1, 8]


def test_an_idle_worker_starts_at_once_and_waits_for_no_company(
    scheduler: BatchScheduler[str, str], model: Model
) -> None:
    scheduler(["warm"], RequestContext())
    start = time.monotonic()
    for _ in range(20):
        scheduler(["alone"], RequestContext())
    assert time.monotonic() - start < 2.0  # a scheduler that sleeps to fill a batch takes longer
    assert len(model.batches) == 21


def test_batches_keep_the_token_budget(scheduler: BatchScheduler[str, str], model: Model) -> None:
    texts = ["x" * (1 + i % 50) for i in range(300)]
    scheduler(texts, RequestContext())
    for batch in model.batches:
        assert len(batch) == 1 or max(map(len, batch)) * len(batch) <= 40


def test_a_call_may_ask_for_smaller_batches_for_itself_alone(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    block(scheduler, model, pool)
    small = pool.submit(scheduler, ["abcd"] * 7, RequestContext(batch_size=2))
    until(lambda: scheduler.waiting_jobs == 1)
    large = pool.submit(scheduler, ["wxyz"] * 7, RequestContext())
    until(lambda: scheduler.waiting_jobs == 2)
    model.gate.set()
    assert small.result(WAIT) == ["ABCD"] * 7
    assert large.result(WAIT) == ["WXYZ"] * 7
    assert all(len(batch) <= 2 for batch in model.batches if "abcd" in batch)


def test_ten_thousand_items_do_not_hold_up_a_call_of_one(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    block(scheduler, model, pool)
    huge = pool.submit(scheduler, ["abcd"] * 10_000, RequestContext())
    until(lambda: scheduler.waiting_jobs == 1)
    small = pool.submit(scheduler, ["hi"], RequestContext())
    until(lambda: scheduler.waiting_jobs == 2)
    model.gate.set()
    assert small.result(WAIT) == ["HI"]
    # It is part of the next round, which is a few batches long; the other's take a thousand.
    at = next(i for i, batch in enumerate(model.batches) if "hi" in batch)
    assert at <= 8
    assert huge.result(WAIT) == ["ABCD"] * 10_000
    assert len(model.batches) >= 1000


def test_tiny_batches_asked_for_by_one_call_do_not_hold_up_the_others(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    # A batch of one takes nearly as long as a full one, so a share is counted in batches too.
    block(scheduler, model, pool)
    huge = pool.submit(scheduler, ["a"] * 2_000, RequestContext(batch_size=1))
    until(lambda: scheduler.waiting_jobs == 1)
    small = pool.submit(scheduler, ["hi"], RequestContext())
    until(lambda: scheduler.waiting_jobs == 2)
    model.gate.set()
    assert small.result(WAIT) == ["HI"]
    assert next(i for i, batch in enumerate(model.batches) if "hi" in batch) <= 8
    assert len(huge.result(WAIT)) == 2_000


def test_calls_with_much_left_take_turns(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    block(scheduler, model, pool)
    both = [pool.submit(scheduler, [letter * 4] * 400, RequestContext()) for letter in "ab"]
    until(lambda: scheduler.waiting_jobs == 2)
    model.gate.set()
    for call in both:
        call.result(WAIT)
    first_half = [text for batch in model.batches[1 : len(model.batches) // 2] for text in batch]
    share = first_half.count("aaaa") / len(first_half)
    assert 0.4 < share < 0.6


def test_no_result_is_mixed_up_between_32_threads(
    scheduler: BatchScheduler[str, str], pool: ThreadPoolExecutor
) -> None:
    def many(seed: int) -> None:
        for turn in range(25):
            texts = [f"{seed}.{turn}.{i}" + "y" * ((seed * i) % 30) for i in range(seed % 9 + 1)]
            assert scheduler(texts, RequestContext()) == [text.upper() for text in texts]

    for done in [pool.submit(many, seed) for seed in range(32)]:
        done.result(WAIT * 3)


def test_all_batches_run_on_one_thread(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    for done in [pool.submit(scheduler, ["a", "b"], RequestContext()) for _ in range(30)]:
        done.result(WAIT)
    assert model.threads == {"model test"}


def test_a_deadline_that_passed_before_is_refused_without_work(
    scheduler: BatchScheduler[str, str], model: Model
) -> None:
    with pytest.raises(DeadlineExceeded):
        scheduler(["late"], RequestContext(deadline=time.monotonic() - 1))
    assert model.batches == []


def test_a_deadline_ends_the_wait_and_drops_what_is_left(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    block(scheduler, model, pool)
    late = pool.submit(scheduler, ["late"] * 500, RequestContext(deadline=time.monotonic() + 0.1))
    with pytest.raises(DeadlineExceeded):
        late.result(WAIT)  # though the worker is still held
    model.gate.set()
    assert scheduler(["after"], RequestContext()) == ["AFTER"]
    assert not any("late" in batch for batch in model.batches)


def test_a_deadline_within_a_long_call_stops_its_remaining_batches(
    scheduler: BatchScheduler[str, str], model: Model
) -> None:
    started = time.monotonic()

    def slow(text: str) -> None:
        time.sleep(0.02)

    model.fault = slow
    with pytest.raises(DeadlineExceeded):
        scheduler(["x" * 40] * 1000, RequestContext(deadline=started + 0.3))
    assert time.monotonic() - started < 5
    assert len(model.batches) < 100


def test_a_cancelled_call_ends_and_its_items_are_dropped(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    block(scheduler, model, pool)
    call = RequestContext()
    gone = pool.submit(scheduler, ["gone"] * 500, call)
    until(lambda: scheduler.waiting_jobs == 1)
    call.cancelled.set()
    with pytest.raises(Cancelled):
        gone.result(WAIT)
    model.gate.set()
    assert scheduler(["after"], RequestContext()) == ["AFTER"]
    assert not any("gone" in batch for batch in model.batches)


def test_a_failing_item_fails_its_own_call_alone(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    model.fault = lambda text: RuntimeError("cannot read it") if text == "bad" else None
    block(scheduler, model, pool)
    good = [pool.submit(scheduler, [f"g{i}"], RequestContext()) for i in range(6)]
    bad = pool.submit(scheduler, ["ok", "bad"], RequestContext())
    until(lambda: scheduler.waiting_jobs == 7)
    model.gate.set()
    assert [call.result(WAIT) for call in good] == [[f"G{i}"] for i in range(6)]
    with pytest.raises(InferenceError) as caught:
        bad.result(WAIT)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "cannot read it" not in str(caught.value)
    assert scheduler.stats.failed_items == 1


def test_a_call_that_has_failed_runs_no_further_items(
    scheduler: BatchScheduler[str, str], model: Model
) -> None:
    model.fault = lambda text: RuntimeError("all bad")
    with pytest.raises(InferenceError):
        scheduler(["bad!"] * 5000, RequestContext())
    assert len(model.batches) < 100


def test_too_few_results_are_an_error_for_every_waiter_and_not_a_mix_up() -> None:
    scheduler: BatchScheduler[str, str] = BatchScheduler(
        "short", lambda batch: batch[:-1], len, SchedulerConfig(40)
    )
    with pytest.raises(InferenceError):
        scheduler(["a", "b", "c"], RequestContext())
    scheduler.close()


@pytest.mark.parametrize("death", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_killed_worker_is_replaced_and_every_waiter_is_answered(
    scheduler: BatchScheduler[str, str],
    model: Model,
    pool: ThreadPoolExecutor,
    death: type[BaseException],
) -> None:
    model.fault = lambda text: death() if text == "kill" else None
    block(scheduler, model, pool)
    victim = pool.submit(scheduler, ["kill"], RequestContext())
    until(lambda: scheduler.waiting_jobs == 1)
    # More than one round's worth, so that some of it was not in hand when the worker died.
    others = [pool.submit(scheduler, [f"o{i:02d}"] * 40, RequestContext()) for i in range(20)]
    until(lambda: scheduler.waiting_jobs == 21)
    model.gate.set()
    with pytest.raises(InferenceError, match="died and was replaced"):
        victim.result(WAIT)
    for i, other in enumerate(others):
        error = other.exception(WAIT)
        if error is None:
            assert other.result() == [f"O{i:02d}"] * 40
        else:
            assert isinstance(error, InferenceError)
    assert scheduler(["alive"], RequestContext()) == ["ALIVE"]
    assert scheduler.alive


def test_a_scheduler_is_not_alive_until_its_dead_worker_is_replaced(
    scheduler: BatchScheduler[str, str], model: Model
) -> None:
    assert scheduler.alive
    model.fault = lambda text: SystemExit() if text == "kill" else None
    with pytest.raises(InferenceError):
        scheduler(["kill"], RequestContext())
    assert scheduler.alive  # the victim's own wait replaced it
    assert scheduler(["next"], RequestContext()) == ["NEXT"]
    assert scheduler.alive


def test_an_answer_already_given_is_not_taken_back_by_a_later_death(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    # The longer item is run first; the shorter one then kills the worker in the same round.
    model.fault = lambda text: SystemExit() if text == "kill" else None
    block(scheduler, model, pool)
    done = pool.submit(scheduler, ["x" * 40], RequestContext())
    killed = pool.submit(scheduler, ["kill"], RequestContext())
    until(lambda: scheduler.waiting_jobs == 2)
    model.gate.set()
    assert done.result(WAIT) == ["X" * 40]
    with pytest.raises(InferenceError):
        killed.result(WAIT)


def test_close_lets_the_running_batch_end_and_refuses_the_rest(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    block(scheduler, model, pool)
    waiting = [pool.submit(scheduler, [f"w{i}"] * 100, RequestContext()) for i in range(5)]
    until(lambda: scheduler.waiting_jobs == 5)
    close_meanwhile(scheduler, model, pool)
    for call in waiting:
        with pytest.raises(ModelUnavailable, match="shutting down"):
            call.result(WAIT)
    assert len(model.batches) == 1
    with pytest.raises(ModelUnavailable):
        scheduler(["too late"], RequestContext())
    assert not scheduler.alive


def test_close_ends_after_the_running_batch_not_after_the_round(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    model.hold()
    call = pool.submit(scheduler, ["x" * 40] * 50, RequestContext())
    model.wait_inside()  # the first of the round's batches
    close_meanwhile(scheduler, model, pool)
    with pytest.raises(ModelUnavailable):
        call.result(WAIT)
    assert len(model.batches) == 1


def test_a_death_while_closing_still_answers_every_waiter(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    model.fault = lambda text: SystemExit()
    first = block(scheduler, model, pool)
    waiting = pool.submit(scheduler, ["waits"], RequestContext())
    until(lambda: scheduler.waiting_jobs == 1)
    close_meanwhile(scheduler, model, pool)
    for call in (first, waiting):
        with pytest.raises((InferenceError, ModelUnavailable)):
            call.result(WAIT)  # type: ignore[attr-defined]


def test_close_can_be_called_twice_and_before_any_work(model: Model) -> None:
    scheduler: BatchScheduler[str, str] = BatchScheduler("idle", model, len, SchedulerConfig(40))
    scheduler.close()
    scheduler.close()
    with pytest.raises(ModelUnavailable):
        scheduler(["no"], RequestContext())


def test_an_interrupted_caller_leaves_no_work_behind(
    scheduler: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    block(scheduler, model, pool)
    with pytest.raises(KeyboardInterrupt):
        scheduler(
            ["left"] * 300,
            RequestContext(deadline=time.monotonic() + 0.05, cancelled=_once(scheduler)),
        )
    model.gate.set()
    assert scheduler(["after"], RequestContext()) == ["AFTER"]
    assert not any("left" in batch for batch in model.batches)


def _once(scheduler: BatchScheduler[str, str]) -> threading.Event:
    """Return an event whose look-up interrupts the first time that the caller waits."""

    class Interrupting(threading.Event):
        def is_set(self) -> bool:
            on_caller = not threading.current_thread().name.startswith("model ")
            if on_caller and scheduler.waiting_jobs:
                raise KeyboardInterrupt
            return False

    return Interrupting()


@pytest.fixture
def two_workers(model: Model) -> Iterator[BatchScheduler[str, str]]:
    """A scheduler of two workers with a thread each, or one with both."""
    new: BatchScheduler[str, str] = BatchScheduler(
        "test", model, len, SchedulerConfig(1000), IntraOpThreads(2)
    )
    new.config = SchedulerConfig(1000, concurrent_batches=2)
    yield new
    model.gate.set()
    new.close()


def test_two_workers_run_two_batches_at_a_time(
    two_workers: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    model.hold()
    call = pool.submit(two_workers, ["x" * 100] * 8, RequestContext())
    model.wait_inside()
    model.wait_inside()  # though the first is still held
    model.gate.set()
    assert call.result(WAIT) == ["X" * 100] * 8
    assert sorted(map(len, model.batches)) == [4, 4]


def test_a_batch_alone_has_all_threads_and_two_have_half_each(pool: ThreadPoolExecutor) -> None:
    used, here = [], threading.local()

    def run(batch: list[str]) -> list[str]:
        used.append(here.count)
        meet.wait(WAIT)
        return batch

    scheduler = BatchScheduler(
        "test",
        run,
        len,
        SchedulerConfig(1000),
        IntraOpThreads(2, lambda n: setattr(here, "count", n)),
    )
    scheduler.config = replace(scheduler.config, concurrent_batches=2)
    meet = threading.Barrier(1)
    scheduler(["alone"], RequestContext())
    assert used == [2]
    meet = threading.Barrier(2)
    scheduler(["x" * 300, "y" * 300], RequestContext())
    assert used[1:] == [1, 1]
    scheduler.close()


def test_a_small_batch_is_done_by_one_thread() -> None:
    used, here = [], threading.local()

    def run(batch: list[str]) -> list[str]:
        used.append(here.count)
        return batch

    scheduler = BatchScheduler(
        "test",
        run,
        len,
        SchedulerConfig(1000),
        IntraOpThreads(2, lambda n: setattr(here, "count", n)),
    )
    scheduler.config = replace(scheduler.config, single_thread_tokens=100)
    for text in ("x" * 100, "x" * 101):
        scheduler([text], RequestContext())
    scheduler(["x" * 40, "x" * 60], RequestContext())  # 120 with its padding
    scheduler.close()
    assert used == [1, 2, 2]


def test_what_comes_while_a_batch_has_all_threads_is_merged(
    two_workers: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    block(two_workers, model, pool)
    calls = [pool.submit(two_workers, [f"call{i}"], RequestContext()) for i in range(8)]
    until(lambda: two_workers.waiting_jobs == 8)
    time.sleep(0.05)
    assert len(model.batches) == 1, "a second batch would have had no thread of its own"
    model.gate.set()
    assert [call.result(WAIT) for call in calls] == [[f"CALL{i}"] for i in range(8)]
    assert [len(batch) for batch in model.batches] == [1, 8]


def test_a_call_spread_over_workers_comes_back_whole_and_in_order(
    two_workers: BatchScheduler[str, str], pool: ThreadPoolExecutor
) -> None:
    def many(seed: int) -> None:
        for turn in range(20):
            texts = [f"{seed}.{turn}.{i}" + "y" * (37 * i % 300) for i in range(seed % 40 + 1)]
            assert two_workers(texts, RequestContext()) == [text.upper() for text in texts]

    for done in [pool.submit(many, seed) for seed in range(32)]:
        done.result(WAIT * 3)


def test_a_worker_that_dies_fails_its_own_jobs_and_not_those_of_the_other(
    two_workers: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    model.fault = lambda text: SystemExit() if text.startswith("kill") else None
    block(two_workers, model, pool)
    good = pool.submit(two_workers, ["g" * 900], RequestContext())
    bad = pool.submit(two_workers, ["kill" * 200], RequestContext())
    until(lambda: two_workers.waiting_jobs == 2)
    model.gate.set()
    assert good.result(WAIT) == ["G" * 900]
    with pytest.raises(InferenceError, match="died and was replaced"):
        bad.result(WAIT)
    assert two_workers(["x" * 300] * 4, RequestContext()) == ["X" * 300] * 4
    assert two_workers.alive


def test_close_waits_for_both_workers_and_answers_every_waiter(
    two_workers: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    model.hold()
    call = pool.submit(two_workers, ["x" * 500] * 40, RequestContext())
    model.wait_inside()
    model.wait_inside()
    close_meanwhile(two_workers, model, pool)
    with pytest.raises(ModelUnavailable):
        call.result(WAIT)
    assert len(model.batches) == 2


def test_whoever_has_the_network_exclusively_sees_no_batch_run(
    two_workers: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    with two_workers.exclusive():
        call = pool.submit(two_workers, ["x" * 300] * 6, RequestContext())
        time.sleep(0.1)
        assert model.batches == []
    assert call.result(WAIT) == ["X" * 300] * 6


def test_a_call_whose_batches_all_run_is_answered_though_the_scheduler_closes(
    two_workers: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    model.hold()
    call = pool.submit(two_workers, ["x" * 100] * 8, RequestContext())
    model.wait_inside()
    model.wait_inside()
    close_meanwhile(two_workers, model, pool)
    assert call.result(WAIT) == ["X" * 100] * 8


def test_a_split_batch_that_is_not_run_to_its_end_is_answered(
    two_workers: BatchScheduler[str, str], model: Model, pool: ThreadPoolExecutor
) -> None:
    model.fault = lambda text: RuntimeError("not together") if len(model.batches[-1]) > 1 else None
    model.hold()
    call = pool.submit(two_workers, ["x" * 100] * 2, RequestContext())
    model.wait_inside()
    close_meanwhile(two_workers, model, pool)
    with pytest.raises(ModelUnavailable):
        call.result(WAIT)


def test_a_worker_that_dies_while_it_plans_leaves_nobody_waiting(
    two_workers: BatchScheduler[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("reranker.scheduling.queue.plan", fails)
        with pytest.raises(InferenceError, match="died"):
            two_workers(["x"], RequestContext())
    assert two_workers(["after"], RequestContext()) == ["AFTER"]


def test_where_there_is_no_thread_for_a_second_worker_the_first_does_the_work(
    two_workers: BatchScheduler[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Worker.start

    def refuse(worker: Worker[object], *arguments: object) -> None:
        if worker is not two_workers._workers[0]:
            raise RuntimeError("can't start new thread")
        start(worker, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Worker, "start", refuse)
    assert two_workers(["x" * 300] * 6, RequestContext()) == ["X" * 300] * 6
    assert two_workers.alive


def test_a_surplus_worker_ends(two_workers: BatchScheduler[str, str], model: Model) -> None:
    two_workers(["x" * 300] * 6, RequestContext())
    two_workers.config = replace(two_workers.config, concurrent_batches=1)
    for _ in range(10):
        assert two_workers(["x" * 300] * 6, RequestContext()) == ["X" * 300] * 6
    until(lambda: two_workers._workers[1].thread is None)
    assert two_workers.alive


def test_stats_count_batches_items_and_padding(scheduler: BatchScheduler[str, str]) -> None:
    scheduler(["x" * 10] * 8, RequestContext())
    stats = scheduler.stats
    assert (stats.batches, stats.items, stats.failed_items) == (2, 8, 0)
    assert stats.padding == 1.0


def test_consecutive_calls_stay_on_one_worker(pool: ThreadPoolExecutor) -> None:
    ran: list[int] = []

    def run(batch: list[str]) -> list[str]:
        ran.append(threading.get_ident())
        return batch

    scheduler = BatchScheduler("test", run, len, SchedulerConfig(1000), IntraOpThreads(2))
    scheduler.config = replace(scheduler.config, concurrent_batches=2)
    for number in range(50):
        scheduler([f"call {number}"], RequestContext())
    scheduler.close()
    assert len(set(ran)) == 1
