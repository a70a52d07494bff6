"""The machine and the package versions behind a measurement."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from reranker.backends.device import usable_cpus

if TYPE_CHECKING:
    from reranker.engine import Reranker

PACKAGES = (
    "reranker",
    "torch",
    "transformers",
    "sentence-transformers",
    "faiss-cpu",
    "numpy",
    "ir-measures",
    "bm25s",
)


def versions() -> dict[str, str]:
    """Return the version of Python and of each package that may change a number."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def machine(engine: Reranker | None = None) -> dict[str, object]:
    """Return what of the machine shapes a latency; with an engine, also how models run on it."""
    found: dict[str, object] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
    }
    if engine is not None:
        found["device"] = engine.models.device
        found["threads"] = engine.settings.tuning.threads or usable_cpus()
        if dtypes := {model.dtype for model in engine.models.loaded()}:
            found["dtype"] = ", ".join(sorted(dtypes))
    return found


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or "unknown"
    names = (line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line)
    return next(names, platform.processor() or "unknown")
