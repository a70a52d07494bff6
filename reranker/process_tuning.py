"""Tuning of the whole process: BLAS threads, malloc, the garbage collector, library caches.

Nothing here runs by itself. The server and the command line call `tune_process` before a model
is loaded; a program that uses the library decides that for its own process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import threading
from collections.abc import Callable, Iterator
from functools import cache

_TRIM_SECONDS = 5.0
_M_ARENA_MAX, _ARENAS = -8, 2  # from malloc.h
_SHAPE_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
_CACHED_SHAPES = 64


def tune_process() -> None:
    """Tune this process for serving models; call it before the first model is loaded."""
    limit_malloc_arenas()
    limit_shape_caches()
    limit_blas_threads()


def limit_malloc_arenas() -> None:
    """Let all threads share two malloc arenas instead of eight per core.

    Each arena keeps free pages of its own. Model threads allocate seldom and much, so they hardly
    ever wait for each other.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, _ARENAS)


def limit_shape_caches() -> None:
    """Keep fewer compiled matmuls; variables that the user has set stay.

    oneDNN caches one compiled primitive per matmul shape, and torch one more per thread: half a
    megabyte each, up to 1,024 by default. Texts bring ever new shapes, and compiling one takes a
    quarter of a millisecond. torch reads these variables when it first multiplies.
    """
    for name in _SHAPE_CACHES:
        os.environ.setdefault(name, str(_CACHED_SHAPES))


@cache
def limit_blas_threads() -> None:
    """Give numpy's and scipy's BLAS one thread, for good: it pays for many small matrices.

    A passage's Gram matrix takes a tenth of a millisecond; a second thread costs more than that,
    and a hundred times as much while its core runs a model. PyTorch's own threads stay. OpenBLAS
    does not let a worker thread raise the limit again, so it cannot be set for a while only.
    """
    import scipy.linalg  # noqa: F401  (loads its BLAS, so that the controller sees it)
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    ThreadpoolController().limit(limits=1, user_api="blas")


@contextlib.contextmanager
def trim_memory(
    settled: Callable[[], bool] = lambda: True, seconds: float = _TRIM_SECONDS
) -> Iterator[None]:
    """Return free memory to the system every so often, for the length of the block.

    The garbage collector runs the less often, the more objects there are, and the libraries bring
    very many that stay: these are frozen once the models are loaded. glibc keeps what is freed
    between pieces still in use, and tensors of ever new sizes make many such pieces;
    `malloc_trim` returns those pages.

    Args:
        settled: whether the objects that exist now will stay, so that they can be frozen.
        seconds: between two runs.
    """
    malloc_trim, over = _malloc_trim(), threading.Event()

    def work() -> None:
        while not over.wait(seconds):
            if not gc.get_freeze_count():
                if not settled():
                    continue
                gc.collect()
                gc.freeze()
            gc.collect()
            malloc_trim(0)

    thread = threading.Thread(target=work, name="trim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _malloc_trim() -> Callable[[int], int]:
    """Return glibc's function; one that does nothing where there is no glibc."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return lambda _: 0
    return trim
