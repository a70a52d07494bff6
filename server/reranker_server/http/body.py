"""Bodies in and out: read with a limit, parsed strictly, written whatever they hold."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from reranker.errors import Cancelled, Overloaded
from reranker_server.errors import BadBody, Compressed, SlowBody, TooLarge

if TYPE_CHECKING:
    from starlette.requests import Request

_MOST_LEVELS = 64  # of lists and objects within each other


class Memory:
    """Bytes of request bodies held at once, all requests together.

    Args:
        limit: the most bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    @contextlib.contextmanager
    def room(self) -> Iterator[Callable[[int], None]]:
        """Yield what a request takes its bytes by; they are given back after the block.

        Raises:
            Overloaded: by the taking, when there is no room for more.
        """
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if self.held + size > self._limit:
                raise Overloaded("the server holds as many bodies as it may; try again")
            self.held += size
            mine += size

        try:
            yield take
        finally:
            self.held -= mine


async def read_body(
    request: Request,
    limit: int,
    take: Callable[[int], None] = lambda _: None,
    seconds: float | None = None,
) -> bytes:
    """Read a body of at most `limit` bytes; more is refused as soon as it is seen.

    Args:
        request: whose body it is.
        limit: the most bytes.
        take: told of each part's size before it is kept; may raise.
        seconds: the most time.

    Raises:
        Compressed: the body says that it is.
        TooLarge: the body is over the limit, or says it will be.
        SlowBody: it took too long.
        Cancelled: the caller hung up.
    """
    _check_encoding(request)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                take(len(part))
                parts.append(part)
    except TimeoutError as error:
        raise SlowBody(f"the body did not arrive within {seconds:g} seconds") from error
    except ClientDisconnect as error:
        raise Cancelled("the caller hung up") from error
    return b"".join(parts)


def _check_encoding(request: Request) -> None:
    for name in ",".join(request.headers.getlist("content-encoding")).split(","):
        if name.strip().lower() not in ("", "identity"):
            raise Compressed(
                f"a body with Content-Encoding {name.strip()!r} is not read; send it uncompressed"
            )


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit / 2**20:g} MiB")


def parse_json(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        BadBody: it is none, or nested too deeply; NaN and infinities are no JSON, and a number
            that would be read as one is refused too.
    """
    try:
        payload = json.loads(body, parse_constant=_refuse, parse_float=_finite)
        _check_depth(payload)
    except (ValueError, RecursionError) as error:
        raise BadBody("the body is not valid JSON") from error
    if not isinstance(payload, dict):
        raise BadBody("the body must be a JSON object")
    return payload


def _refuse(name: str) -> float:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _check_depth(payload: Any) -> None:
    """Raise ValueError for a value nested so deeply that writing it again might fail."""
    level = [payload]
    for _ in range(_MOST_LEVELS):
        inner = [v for v in level if isinstance(v, dict | list)]
        if not inner:
            return
        level = [v for each in inner for v in (each.values() if isinstance(each, dict) else each)]
    raise ValueError("nested too deeply")


def to_json(payload: Any) -> bytes:
    """Write JSON; text that UTF-8 cannot hold (lone surrogates) is escaped, as it was sent."""
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()
