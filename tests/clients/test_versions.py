"""The versions that `docs/dialects.md` lists are those that the tests install."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINS = ("constraints.txt", "tests/clients/requirements.txt", "tests/clients/requirements-older.txt")


def test_listed_versions_are_installed_ones():
    page = (ROOT / "docs" / "dialects.md").read_text("utf-8")
    section = page.partition("## Clients")[2].partition("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    listed = re.findall(r"`([\w-]+)` ((?:\d[\w.]*(?:, )?)+)", table)
    assert len(listed) > 15
    pins = {
        (line.partition("==")[0].lower().replace("_", "-"), line.partition("==")[2].strip())
        for name in PINS
        for line in (ROOT / name).read_text("utf-8").splitlines()
        if "==" in line
    }
    for name, versions in listed:
        for version in versions.removesuffix(", ").split(", "):
            assert (name.replace("_", "-"), version) in pins, (name, version)
