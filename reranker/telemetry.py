"""Seconds spent in named blocks of a call, collected by its caller."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

_spent: ContextVar[dict[str, float] | None] = ContextVar("seconds by name", default=None)


@contextlib.contextmanager
def collect() -> Iterator[dict[str, float]]:
    """Yield a dict that fills with the seconds spent in `timed` blocks within this context."""
    seconds: dict[str, float] = {}
    before = _spent.set(seconds)
    try:
        yield seconds
    finally:
        _spent.reset(before)


@contextlib.contextmanager
def timed(name: str) -> Iterator[None]:
    """Add the block's time under a name."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds = _spent.get()
        if seconds is not None:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
