"""Seconds of the network's operations by kind, as torch's profiler sees them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KINDS = {
    "attention": ("scaled_dot_product", "bmm", "softmax", "flash_attention"),
    "linear": ("addmm", "aten::mm", "linear", "aten::matmul"),
}
"""Words in the names of operations; the first kind that fits is taken."""


def kind_of(name: str) -> str:
    """Return the kind of an operation by its name, such as "aten::addmm"."""
    for kind, words in KINDS.items():
        if any(word in name for word in words):
            return kind
    return "other"


@contextmanager
def operations() -> Iterator[dict[str, float]]:
    """Yield a dict that holds, after the block, each kind's own seconds on all threads."""
    from torch.profiler import ProfilerActivity, profile

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it reports its stages on standard error
    seconds: dict[str, float] = {}
    with profile(activities=[ProfilerActivity.CPU], **_all_threads()) as watched:
        yield seconds
    for event in watched.key_averages():
        if "::" in event.key:
            kind = kind_of(event.key)
            seconds[kind] = seconds.get(kind, 0.0) + event.self_cpu_time_total / 1e6


def _all_threads() -> dict[str, Any]:
    """Return the option that watches models' own threads too; torch has it since 2.7."""
    from torch._C._profiler import _ExperimentalConfig

    return {"experimental_config": _ExperimentalConfig(profile_all_threads=True)}
