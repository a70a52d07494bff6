"""Who gets in, in which order, and what the others are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from reranker.errors import Cancelled, DeadlineExceeded, Overloaded
from reranker.types import RequestContext
from reranker_server.admission.controller import AdmissionController, Throughput
from reranker_server.errors import ShuttingDown


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scene()

    asyncio.run(bounded())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_first_work_the_next_wait_the_others_are_refused():
    async def scene() -> None:
        admission = AdmissionController(2, 1)
        first = await admission.enter("a", 10, RequestContext())
        await admission.enter("a", 10, RequestContext())
        third = asyncio.create_task(admission.enter("a", 10, RequestContext()))
        await settle()
        assert (admission.running, admission.waiting, admission.waiting_tokens) == (2, 1, 10)
        with pytest.raises(Overloaded):
            await admission.enter("a", 10, RequestContext())
        first.release()
        first.release()  # a second time changes nothing
        await third
        assert (admission.running, admission.waiting) == (2, 0)

    play(scene)


def test_the_queue_is_bounded_in_tokens_but_takes_one_of_any_size():
    async def scene() -> None:
        admission = AdmissionController(1, 100, queue_tokens=50)
        await admission.enter("a", 1, RequestContext())
        waiting = [asyncio.create_task(admission.enter("a", 1_000_000, RequestContext()))]
        await settle()
        with pytest.raises(Overloaded):
            await admission.enter("a", 1, RequestContext())
        waiting[0].cancel()
        await settle()
        waiting = [
            asyncio.create_task(admission.enter("a", 20, RequestContext())) for _ in range(2)
        ]
        await settle()
        with pytest.raises(Overloaded):
            await admission.enter("a", 20, RequestContext())
        assert admission.waiting_tokens == 40
        for task in waiting:
            task.cancel()

    play(scene)


def test_who_sends_little_does_not_wait_for_who_sends_much():
    async def scene() -> None:
        admission = AdmissionController(1, 100)
        order: list[str] = []
        permit = await admission.enter("much", 10, RequestContext())

        async def one(who: str) -> None:
            held = await admission.enter(who, 10, RequestContext())
            order.append(who)
            held.release()

        many = [asyncio.create_task(one("much")) for _ in range(20)]
        await settle()
        few = [asyncio.create_task(one("little")) for _ in range(3)]
        await settle()
        permit.release()
        await asyncio.gather(*many, *few)
        assert order.index("little") <= 1
        assert max(i for i, who in enumerate(order) if who == "little") <= 6

    play(scene)


def test_who_fills_the_queue_makes_room_for_who_does_not():
    async def scene() -> None:
        admission = AdmissionController(1, 4)
        await admission.enter("much", 10, RequestContext())
        many = [
            asyncio.create_task(admission.enter("much", 10, RequestContext())) for _ in range(4)
        ]
        await settle()
        few = [asyncio.create_task(admission.enter("little", 10, RequestContext()))]
        await settle()
        assert admission.waiting == 4
        assert isinstance(many[-1].exception(), Overloaded)  # the newest of those
        assert not any(task.done() for task in (*many[:-1], *few))
        with pytest.raises(Overloaded):
            await admission.enter("much", 10, RequestContext())
        for task in (*many[:-1], *few):
            task.cancel()

    play(scene)


def test_a_deadline_and_a_caller_who_has_gone_end_the_wait():
    async def scene() -> None:
        admission = AdmissionController(1, 10)
        await admission.enter("a", 1, RequestContext())
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await admission.enter("a", 1, RequestContext(start + 0.05))
        assert time.monotonic() - start < 2
        disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(admission.enter("a", 1, RequestContext(), disconnected))
        await settle()
        disconnected.set_result(None)
        with pytest.raises(Cancelled):
            await waiting
        assert (admission.running, admission.waiting, admission.waiting_tokens) == (1, 0, 0)

    play(scene)


def test_a_wait_broken_off_as_the_turn_comes_loses_no_permit():
    async def scene() -> None:
        admission = AdmissionController(1, 10)
        permit = await admission.enter("a", 1, RequestContext())
        waiting = asyncio.create_task(admission.enter("a", 1, RequestContext()))
        await settle()
        permit.release()  # the turn comes ...
        waiting.cancel()  # ... and nobody is there
        await settle()
        assert admission.in_flight == 0
        (await admission.enter("a", 1, RequestContext())).release()

    play(scene)


def test_retry_after_follows_from_the_measured_rate():
    now = [0.0]
    throughput = Throughput(lambda: now[0])
    assert throughput.seconds(1000) == 0  # nothing is known yet
    for _ in range(50):
        throughput.begin()
        now[0] += 0.5
        throughput.done(100)
        now[0] += 100  # idle time does not count
    assert throughput.seconds(1000) == pytest.approx(5)
    for _ in range(200):  # the machine became ten times slower
        throughput.begin()
        now[0] += 5
        throughput.done(100)
    assert throughput.seconds(1000) == pytest.approx(50, rel=0.05)

    async def scene() -> None:
        admission = AdmissionController(1, 1)
        admission.throughput = throughput
        await admission.enter("a", 1, RequestContext())
        waiting = asyncio.create_task(admission.enter("a", 1000, RequestContext()))
        await settle()
        with pytest.raises(Overloaded) as refused:
            await admission.enter("a", 1, RequestContext())
        assert refused.value.retry_after == pytest.approx(50, rel=0.05)
        waiting.cancel()

    play(scene)


def test_what_would_wait_too_long_is_refused_at_once():
    async def scene() -> None:
        admission = AdmissionController(1, 100, queue_seconds=2)
        now = [0.0]
        admission.throughput = Throughput(lambda: now[0])
        admission.throughput.begin()
        now[0] = 1.0
        admission.throughput.done(100)  # tokens per second
        await admission.enter("a", 1, RequestContext())
        waiting = [
            asyncio.create_task(admission.enter("a", 150, RequestContext())) for _ in range(2)
        ]
        await settle()
        with pytest.raises(Overloaded):
            await admission.enter("a", 1, RequestContext())
        # Its own deadline bounds a request's wait as well.
        waiting[1].cancel()
        await settle()
        with pytest.raises(Overloaded):
            await admission.enter("a", 1, RequestContext(time.monotonic() + 0.5))
        waiting[0].cancel()

    play(scene)


def test_once_closed_nobody_gets_in_and_those_inside_finish():
    async def scene() -> None:
        admission = AdmissionController(1, 10)
        permit = await admission.enter("a", 1, RequestContext())
        waiting = asyncio.create_task(admission.enter("a", 1, RequestContext()))
        await settle()
        admission.close()
        with pytest.raises(ShuttingDown):
            await admission.enter("a", 1, RequestContext())
        assert not await admission.drained(0.05)
        permit.release()
        (await waiting).release()
        assert await admission.drained(1)

    play(scene)
