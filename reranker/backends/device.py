"""Where models run on this machine: device, dtype and threads, chosen unless a setting says so."""

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
_MAX_BATCH_TOKENS = {"cpu": 2048, "cuda": 65536, "mps": 16384}
_BATCH_TOKEN_CANDIDATES = {"cpu": (1024, 2048, 4096), "cuda": (16384, 32768, 65536, 131072)}


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """Where and how models run.

    Attributes:
        device: as torch names it.
        dtype: of weights and activations; with `int8`, of what is not computed in int8.
        threads: of the CPU.
        max_batch_tokens: padded tokens in a batch; a warmed model may have found a better number.
        attn_implementation: the kernel, or "auto".
        cpu_weight_layout: of torch on a CPU: "packed", "plain", or "auto".
        autotune: whether a model is measured when it is warmed.
        batch_token_candidates: padded tokens in a batch to choose among then.
        backend: "torch", "openvino", or "auto" for the faster one of those that agree.
        int8: whether matmuls run in int8, which OpenVINO does.
        openvino_cache_dir: folder of exported networks; None is the user's own.
    """

    device: str
    dtype: str
    threads: int
    max_batch_tokens: int
    attn_implementation: str = "auto"
    cpu_weight_layout: str = "auto"
    autotune: bool = False
    batch_token_candidates: tuple[int, ...] = ()
    backend: str = "torch"
    int8: bool = False
    openvino_cache_dir: Path | None = None

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype as torch names it."""
        import torch

        dtype = getattr(torch, self.dtype)
        assert isinstance(dtype, torch.dtype)
        return dtype


def choose_device(
    device: str = "auto",
    dtype: str = "auto",
    backend: str = "auto",
    *,
    threads: int = 0,
    max_batch_tokens: int = 0,
    attn_implementation: str = "auto",
    cpu_weight_layout: str = "auto",
    autotune: bool = True,
    openvino_cache_dir: Path | None = None,
) -> DeviceConfig:
    """Fill in what a setting leaves open: "auto", or 0.

    Raises:
        SettingsError: the device is not on this machine, or the dtype or the backend is
            useless there.
    """
    device = _device(device)
    kind = device.partition(":")[0]
    int8 = dtype == "int8"
    if backend == "openvino" and kind != "cpu":
        raise SettingsError("the openvino backend runs on the CPU", param="backend")
    if int8 and (kind != "cpu" or backend == "torch"):
        raise SettingsError("int8 needs the openvino backend, on the CPU", param="dtype")
    return DeviceConfig(
        device=device,
        dtype=_dtype("auto" if int8 else dtype, kind),
        threads=threads or usable_cpus(),
        max_batch_tokens=max_batch_tokens or _MAX_BATCH_TOKENS.get(kind, _MAX_BATCH_TOKENS["cpu"]),
        attn_implementation=attn_implementation,
        cpu_weight_layout=cpu_weight_layout,
        autotune=autotune,
        backend="openvino" if int8 else backend,
        int8=int8,
        openvino_cache_dir=openvino_cache_dir,
        batch_token_candidates=(
            _BATCH_TOKEN_CANDIDATES.get(kind, ()) if autotune and not max_batch_tokens else ()
        ),
    )


def _device(name: str) -> str:
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device {name!r} is not available on this machine", param="device"
        ) from error
    return name


def _dtype(name: str, kind: str) -> str:
    import torch

    if name == "auto":
        if kind == "cpu":
            return "bfloat16" if cpu_flags() & _FAST_BF16_FLAGS else "float32"
        return "bfloat16" if kind == "cuda" and torch.cuda.is_bf16_supported() else "float16"
    if name == "float16" and kind == "cpu":
        raise SettingsError(
            "float16 is not usable on a CPU; choose bfloat16 or float32", param="dtype"
        )
    return name


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
