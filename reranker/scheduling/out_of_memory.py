"""Recognizing out-of-memory errors."""

from __future__ import annotations

import re

# torch on the CPU raises a plain RuntimeError, OpenVINO one with C++'s message.
_WORDS = re.compile(
    r"out of memory|can(?:'t|not) allocate memory|not enough memory|bad[_ ]alloc(?:ation)?\b", re.I
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error, or one that it was raised from, is an out-of-memory error."""
    seen: BaseException | None = error
    while seen is not None:
        # By name, so that torch need not be imported here.
        if isinstance(seen, MemoryError) or type(seen).__name__ == "OutOfMemoryError":
            return True
        if isinstance(seen, RuntimeError) and _WORDS.search(str(seen)):
            return True
        seen = seen.__cause__
    return False
