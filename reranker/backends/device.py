"""What this machine offers: device, number format and threads, chosen unless told otherwise."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from reranker.errors import SettingsError

if TYPE_CHECKING:
    import torch

# Matrix units that make bfloat16 faster than float32; without one it is slower.
_FAST_BF16_FLAGS = {"amx_bf16", "avx512_bf16"}
_FAST_INT8_FLAGS = {"amx_int8", "avx512_vnni", "avx_vnni"}
# oneDNN keeps what it made for a shape of a product, and torch's way to it keeps that once more in
# each thread: half a megabyte, 1,024 times unless told otherwise. Texts bring ever new shapes;
# making one anew takes a quarter of a millisecond.
_SHAPES_KEPT = 64
_SHAPE_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
_TOKEN_BUDGET = {"cpu": 2048, "cuda": 65536, "mps": 16384}
_TRIALS = {"cpu": (1024, 2048, 4096), "cuda": (16384, 32768, 65536, 131072)}


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where and how models run.

    Attributes:
        device: as torch names it.
        dtype: the number format.
        threads: of the CPU.
        token_budget: padded tokens a batch; a warmed model may have found a better one.
        attention: the kernel, or "auto".
        weights: how torch keeps them on a CPU: "packed", "plain", or "auto".
        measure: whether a model is measured when it is warmed.
        budgets: padded tokens a batch to measure then; none if it was given.
        backend: "torch", "openvino", or "auto" for the faster one where that is measured.
        int8: whether the CPU multiplies int8 fast and no number format was asked for.
        exports: folder of exported networks; None is the user's own.
    """

    device: str
    dtype: str
    threads: int
    token_budget: int
    attention: str = "auto"
    weights: str = "auto"
    measure: bool = False
    budgets: tuple[int, ...] = ()
    backend: str = "torch"
    int8: bool = False
    exports: Path | None = None

    @property
    def torch_dtype(self) -> torch.dtype:
        """Return the number format as torch names it."""
        import torch

        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype


def choose(
    device: str = "auto",
    dtype: str = "auto",
    threads: int = 0,
    token_budget: int = 0,
    attention: str = "auto",
    weights: str = "auto",
    measure: bool = True,
    backend: str = "auto",
    exports: Path | None = None,
) -> Hardware:
    """Fill in what was left to us: "auto", or 0.

    Raises:
        SettingsError: the device is not on this machine, or the format or the backend is
            useless there.
    """
    for name in _SHAPE_CACHES:
        os.environ.setdefault(name, str(_SHAPES_KEPT))
    device = _device(device)
    kind = device.partition(":")[0]
    if backend == "openvino" and kind != "cpu":
        raise SettingsError("the openvino backend runs on the CPU", param="backend")
    return Hardware(
        device=device,
        dtype=_dtype(dtype, kind),
        threads=threads or usable_cpus(),
        token_budget=token_budget or _TOKEN_BUDGET.get(kind, _TOKEN_BUDGET["cpu"]),
        attention=attention,
        weights=weights,
        measure=measure,
        backend=backend,
        int8=dtype == "auto" and kind == "cpu" and bool(cpu_flags() & _FAST_INT8_FLAGS),
        exports=exports,
        budgets=_TRIALS.get(kind, ()) if measure and not token_budget else (),
    )


def _device(wanted: str) -> str:
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device {wanted!r} is not available on this machine", param="device"
        ) from error
    return wanted


def _dtype(wanted: str, kind: str) -> str:
    import torch

    if wanted == "auto":
        if kind == "cpu":
            return "bfloat16" if cpu_flags() & _FAST_BF16_FLAGS else "float32"
        return "bfloat16" if kind == "cuda" and torch.cuda.is_bf16_supported() else "float16"
    if wanted == "float16" and kind == "cpu":
        raise SettingsError(
            "float16 is not usable on a CPU; choose bfloat16 or float32", param="dtype"
        )
    return wanted


@cache
def cpu_flags() -> frozenset[str]:
    """Return the CPU's feature flags, empty where the system does not list them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def usable_cpus() -> int:
    """Return the CPUs this process may use: its affinity mask, bounded by its cgroup's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    quota = _cgroup_quota()
    return max(1, min(cpus, int(quota) if quota else cpus))


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return the CPU quota in cores of cgroup v2 or v1; None where there is none."""
    try:
        quota, _, period = (root / "cpu.max").read_text().strip().partition(" ")
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((root / "cpu/cpu.cfs_quota_us").read_text())
        return (
            quota_us / int((root / "cpu/cpu.cfs_period_us").read_text()) if quota_us > 0 else None
        )
    except (OSError, ValueError):
        return None
