"""Connections that must hurry: a request's head has a time and a size, however it trickles in."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

MOST_HEAD_BYTES = 64 * 1024
_REFUSED = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)

_Base: Any = AutoHTTPProtocol


class Hurried(_Base):  # type: ignore[misc]
    """uvicorn's HTTP protocol with a bound on how long and how large a head may be.

    uvicorn bounds only the idle time after an answer; a connection that never sends a whole
    head would stay for good, and with `httptools` a head could grow without end.
    """

    head_seconds = 10.0
    _timer: asyncio.TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Hand on what came, and see whether a head is whole."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:  # a head is whole, and its request has begun
            self._got_head()
        elif self.cycle is None or self.cycle.response_complete:
            self._expect_head()
            self._head += len(data)
            if self._head > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_REFUSED)
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._got_head()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _got_head(self) -> None:
        self._head = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def hurried(seconds: float) -> type[asyncio.Protocol]:
    """Return the protocol with another bound on the time."""
    return type("Hurried", (Hurried,), {"head_seconds": seconds})


def allow_many_files() -> None:
    """Raise this process's limit of open files, and so of connections, as far as it may."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
