"""Installed packages with plug-ins, without building a wheel."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

import pytest


def install(
    folder: Path,
    patch: pytest.MonkeyPatch,
    entries: Mapping[str, str],
    *,
    group: str = "reranker.methods",
    **modules: str,
) -> None:
    """Put a package on the path, called as its folder, with entry points and the source of modules.

    Args:
        folder: where it is installed; made here.
        patch: takes it off the path after the test.
        entries: the name of each entry point and what it refers to.
        group: the group they are in.
        modules: source by module name.
    """
    info = folder / f"{folder.name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {folder.name}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    patch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
