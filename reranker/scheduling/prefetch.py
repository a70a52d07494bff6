"""Prefetch: the next part of a long call is prepared while the current one runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Ready = TypeVar("Ready")
Result = TypeVar("Result")

_LEAST = 256  # texts of a part
_SHORT = 16  # tokens of a short text


def prefetch_size(max_batch_tokens: int) -> int:
    """Return how many texts of a call make a part, given the padded tokens of a batch.

    Each part is sorted by length on its own, so it is large enough for several batches of long
    texts and for one of short ones.
    """
    return max(_LEAST, max_batch_tokens // _SHORT)


def map_with_prefetch(
    items: Sequence[Item],
    prepare: Callable[[Sequence[Item]], Ready],
    run: Callable[[Ready], Sequence[Result]],
    part: int,
) -> list[Result]:
    """Return the results of all items in order, `run(prepare(...))` of a part at a time.

    While a part runs, a thread prepares the next: a long call waits only for the tokens of its
    first part and holds those of two parts at most. If `run` raises, the preparation is dropped.

    Args:
        items: what to work on.
        prepare: CPU work, such as tokenizing.
        run: waits for the model; called on the caller's thread.
        part: items of a part.
    """
    parts = [items[i : i + part] for i in range(0, len(items), part)]
    if len(parts) < 2:
        return list(run(prepare(items)))
    done: list[Result] = []
    ahead = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        coming = ahead.submit(copy_context().run, prepare, parts[0])
        for following in [*parts[1:], None]:
            ready = coming.result()
            if following is not None:
                coming = ahead.submit(copy_context().run, prepare, following)
            done += run(ready)
    finally:
        ahead.shutdown(wait=False, cancel_futures=True)
    return done
