"""Memory that is free goes back to the system.

glibc keeps what is freed between pieces still in use, and tensors of ever new sizes make many
such pieces: a server that needs 800 MB would hold twice that after an hour. `malloc_trim`
returns those pages; it takes milliseconds, and other threads may go on.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator

_SECONDS = 5.0
_M_ARENA_MAX, _ARENAS = -8, 2  # from malloc.h; the heaps that threads share


@contextlib.contextmanager
def trimming(seconds: float = _SECONDS) -> Iterator[None]:
    """Trim every so often for the length of the block; nothing where there is no glibc."""
    trim = _malloc_trim()
    if trim is None:
        yield
        return
    over = threading.Event()

    def work() -> None:
        while not over.wait(seconds):
            trim(0)

    thread = threading.Thread(target=work, name="trim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def few_heaps() -> None:
    """Let all threads share two heaps, not eight a core, each with free pages of its own.

    To be called before the models' threads begin. They allocate seldom and much, so they hardly
    ever wait for each other there.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, _ARENAS)


def _malloc_trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return None
    return trim
