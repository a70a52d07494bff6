"""Memory that is free goes back to the system.

Python finds objects that hold each other, and the arrays on them, the more seldom the more
objects there are; and the libraries bring very many that stay. So these are set aside once the
models are there, which leaves few to look through.

glibc keeps what is freed between pieces still in use, and tensors of ever new sizes make many
such pieces. `malloc_trim` returns those pages to the system.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import threading
from collections.abc import Callable, Iterator

_SECONDS = 5.0
_M_ARENA_MAX, _ARENAS = -8, 2  # from malloc.h; the heaps that threads share


@contextlib.contextmanager
def trimming(
    settled: Callable[[], bool] = lambda: True, seconds: float = _SECONDS
) -> Iterator[None]:
    """Collect and trim every so often for the length of the block.

    Args:
        settled: whether what there is now is there to stay.
        seconds: how often.
    """
    trim, over = _malloc_trim(), threading.Event()

    def work() -> None:
        while not over.wait(seconds):
            if not gc.get_freeze_count():
                if not settled():
                    continue
                gc.collect()
                gc.freeze()
            gc.collect()
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


def _malloc_trim() -> Callable[[int], int]:
    """Return glibc's function; one that does nothing where there is no glibc."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return lambda _: 0
    return trim
