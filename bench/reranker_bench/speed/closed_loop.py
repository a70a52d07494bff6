"""Closed-loop load: so many clients, each with one request at a time."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

STAMP = "@@@@@@"
"""Six characters of a request that a number replaces each time it is sent, so that no text that
holds them is sent twice."""

_numbers = itertools.count()  # of all loads: one of another level must not repeat what was sent
_PAUSE = 0.01  # seconds after an error, so that a server which refuses at once is not flooded

RequestT = TypeVar("RequestT", contravariant=True)


class Client(Protocol[RequestT]):
    """Sends one request at a time."""

    async def send(self, request: RequestT, stamp: str) -> str | None:
        """Send a request and wait for its response.

        Args:
            request: with `STAMP` wherever a text must be new.
            stamp: replaces it; as long, and never the same twice.

        Returns:
            None if the response is good, else a word for what is wrong, such as "429".
        """

    def close(self) -> None:
        """Close what the client holds open."""


@dataclass
class Load:
    """What a load measured: seconds of the good responses, and how many errors of each kind."""

    seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    elapsed: float = 0.0

    @property
    def rate(self) -> float:
        """Return good responses a second."""
        return len(self.seconds) / max(self.elapsed, 1e-9)


def next_stamp() -> str:
    """Return a stamp that was not used before in this process."""
    return f"{next(_numbers) % 10 ** len(STAMP):0{len(STAMP)}}"


def run_load(
    connect: Callable[[], Client[RequestT]],
    requests: Sequence[RequestT],
    clients: int,
    seconds: float,
    seed: int,
) -> Load:
    """Run closed-loop clients.

    No client sends a request after `seconds`; responses still open by then are waited for and
    counted, so a slow one cannot fall out of the percentiles.

    Args:
        connect: makes a client.
        requests: each time, one is drawn at random.
        clients: how many.
        seconds: how long requests are sent.
        seed: of the draw.
    """
    return asyncio.run(_run_load(connect, requests, clients, seconds, seed))


async def _run_load(
    connect: Callable[[], Client[RequestT]],
    requests: Sequence[RequestT],
    clients: int,
    seconds: float,
    seed: int,
) -> Load:
    result = Load()
    start = time.perf_counter()
    loops = (
        _loop(connect(), requests, start + seconds, random.Random(1000 * seed + i), result)
        for i in range(clients)
    )
    await asyncio.gather(*loops)
    result.elapsed = time.perf_counter() - start
    return result


async def _loop(
    client: Client[RequestT],
    requests: Sequence[RequestT],
    end: float,
    draw: random.Random,
    result: Load,
) -> None:
    try:
        while (start := time.perf_counter()) < end:
            error = await client.send(draw.choice(requests), next_stamp())
            if error is None:
                result.seconds.append(time.perf_counter() - start)
            else:
                result.errors[error] += 1
                await asyncio.sleep(_PAUSE)
    finally:
        client.close()
