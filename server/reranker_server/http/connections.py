"""Connections that must hurry: heads have a time and a size, answers must be read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

log = logging.getLogger(__name__)

MOST_HEAD_BYTES = 64 * 1024
_REFUSED = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)

_Base: Any = AutoHTTPProtocol


class Hurried(_Base):  # type: ignore[misc]
    """uvicorn's HTTP protocol with a bound on heads, and on answers that nobody reads.

    uvicorn bounds only the idle time after an answer; a connection that never sends a whole
    head would stay for good, with `httptools` a head could grow without end, and an answer that
    is not read would be kept for as long as the caller likes.
    """

    head_seconds = 10.0
    stall_seconds = 30.0
    _stall: asyncio.TimerHandle | None = None
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
        self._moves()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to watch whether the caller reads."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Stop watching: the caller has read."""
        self._moves()
        super().resume_writing()

    def _watch(self, unread: int) -> None:
        self._stall = self.loop.call_later(self.stall_seconds, self._look, unread)

    def _look(self, unread_before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread >= unread_before:
            log.info("an answer was not read for %g s; connection ended", self.stall_seconds)
            self.transport.abort()  # `close` would wait for the caller to read the rest
        else:
            self._watch(unread)

    def _moves(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _expect_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _got_head(self) -> None:
        self._head = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def hurried(head_seconds: float, stall_seconds: float) -> type[asyncio.Protocol]:
    """Return the protocol with bounds on a head's time, and on the time without any reading."""
    bounds = {"head_seconds": head_seconds, "stall_seconds": stall_seconds}
    return type("Hurried", (Hurried,), bounds)


def allow_many_files() -> None:
    """Raise this process's limit of open files, and so of connections, as far as it may."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
