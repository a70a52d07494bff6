"""Slow-client timeouts: limits on request heads, and on responses that are not read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)

_Base: Any = AutoHTTPProtocol


class BoundedProtocol(_Base):  # type: ignore[misc]
    """uvicorn's HTTP protocol with limits on heads, and on responses that are not read.

    uvicorn limits only the idle time after a response; a connection that never sends a whole
    head would stay for good, with `httptools` a head could grow without end, and a response that
    is not read would be kept for as long as the client likes.
    """

    head_seconds = 10.0
    stall_seconds = 30.0
    _stall: asyncio.TimerHandle | None = None
    _timer: asyncio.TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a head."""
        super().connection_made(transport)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Pass on the data, and check whether a head is complete."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:  # a head is complete
            self._stop_head_timer()
        elif self.cycle is None or self.cycle.response_complete:
            self._start_head_timer()
            self._head += len(data)
            if self._head > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._stop_head_timer()
        self._stop_stall_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Watch whether the client reads."""
        super().pause_writing()
        self._start_stall_timer(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Stop watching: the client has read."""
        self._stop_stall_timer()
        super().resume_writing()

    def _start_stall_timer(self, unread: int) -> None:
        self._stall = self.loop.call_later(self.stall_seconds, self._check_stall, unread)

    def _check_stall(self, unread_before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread >= unread_before:
            log.info("a response was not read for %g s; connection closed", self.stall_seconds)
            self.transport.abort()  # `close` would wait for the client to read the rest
        else:
            self._start_stall_timer(unread)

    def _stop_stall_timer(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _start_head_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_head_timer(self) -> None:
        self._head = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def bounded_protocol(head_seconds: float, stall_seconds: float) -> type[asyncio.Protocol]:
    """Return the protocol with limits on the time of a head and of a stalled response."""
    bounds = {"head_seconds": head_seconds, "stall_seconds": stall_seconds}
    return type("BoundedProtocol", (BoundedProtocol,), bounds)


def raise_open_files_limit() -> None:
    """Raise this process's limit of open files, and so of connections, to the hard limit."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
