"""The machine, in so far as it shapes a speed."""

from __future__ import annotations

import os

from reranker.backends.device import cpu_flags
from reranker_bench import environment

MATRIX_FLAGS = (
    "avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "avx_vnni",
    "amx_tile", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm", "sve",
)  # fmt: skip
"""CPU features for matmuls."""


def describe() -> dict[str, object]:
    """Return processor, cores, memory in GiB, and the CPU features for matmuls."""
    flags = cpu_flags()
    found = environment.machine()
    found["flags"] = [flag for flag in MATRIX_FLAGS if flag in flags]
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found["memory_gb"] = round(size / 2**30, 1)
    return found
