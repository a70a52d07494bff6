"""Speed tables in the documents are those of the committed results."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.speed import markdown

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("name", ["README.md", "docs/performance.md"])
def test_the_tables_are_generated(name) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert markdown.fill(text) == text, "run make docs"


def test_the_results_are_those_of_this_checkout() -> None:
    assert ROOT / "bench" / "results" == markdown.RESULTS
