"""Closed-loop clients: so many, each with one request at a time over its own connection.

The bytes of every request are made beforehand and answers are not parsed, so that the clients
take little of the CPU that they share with the server.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
STAMP = b"@@@@@@"
"""Six bytes of a request that are replaced each time it is sent, so that no query comes twice."""

_STAMPS = itertools.count()  # of all loads: one of another level must not repeat what was asked


@dataclass
class Load:
    """What came of a load: seconds of the good answers, and how many there were of the others."""

    seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    elapsed: float = 0.0

    @property
    def rate(self) -> float:
        """Return good answers a second."""
        return len(self.seconds) / max(self.elapsed, 1e-9)


def request(path: str, body: dict[str, Any]) -> bytes:
    """Return a POST as bytes."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def load(port: int, requests: Sequence[bytes], clients: int, seconds: float, seed: int) -> Load:
    """Load a server on the loopback.

    No client begins a request after `seconds`; what is under way by then is waited for and
    counted, so a slow answer cannot fall out of the percentiles.

    Args:
        port: of the server.
        requests: which of them is sent is drawn by chance.
        clients: how many.
        seconds: how long requests are begun.
        seed: of the draw.
    """
    return asyncio.run(_load(port, requests, clients, seconds, seed))


async def _load(
    port: int, requests: Sequence[bytes], clients: int, seconds: float, seed: int
) -> Load:
    done = Load()
    start = time.perf_counter()
    await asyncio.gather(
        *(
            _client(port, requests, start + seconds, random.Random(1000 * seed + i), done)
            for i in range(clients)
        )
    )
    done.elapsed = time.perf_counter() - start
    return done


async def _client(
    port: int, requests: Sequence[bytes], end: float, chance: random.Random, done: Load
) -> None:
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    try:
        while (start := time.perf_counter()) < end:
            try:
                connection = connection or await asyncio.open_connection(HOST, port)
                sent = chance.choice(requests).replace(STAMP, b"%06d" % (next(_STAMPS) % 10**6))
                status, _ = await exchange(*connection, sent)
            except (OSError, EOFError, ValueError) as error:
                done.errors[type(error).__name__] += 1
                connection = None
                await asyncio.sleep(0.05)
                continue
            if status == "200":
                done.seconds.append(time.perf_counter() - start)
            else:
                done.errors[status] += 1
                await asyncio.sleep(0.01)
    finally:
        if connection is not None:
            connection[1].close()


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes
) -> tuple[str, bytes]:
    """Send a request; return status and body of its answer.

    Raises:
        ValueError: the answer does not say how long it is.
        EOFError: it was broken off.
    """
    writer.write(sent)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *fields = head.split("\r\n")
    names = dict(field.lower().split(": ", 1) for field in fields if ": " in field)
    if "content-length" not in names:
        raise ValueError("an answer without a length")
    return first.split()[1], await reader.readexactly(int(names["content-length"]))


def ask(port: int, sent: bytes) -> Any:
    """Return the JSON of one answer."""

    async def once() -> bytes:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            return (await exchange(reader, writer, sent))[1]
        finally:
            writer.close()

    return json.loads(asyncio.run(once()))
