"""A comparison on model doubles and a data set of three queries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.comparison import RecordingObserver, write_dataset
from support.fakes import FakeModels

from reranker.engine import Reranker
from reranker.settings import Settings
from reranker_bench.comparison.experiment import CompareOptions, run_comparison
from reranker_bench.report.report import Report


@pytest.fixture(autouse=True)
def _page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no pictures, which takes seconds, unless the test is about the page."""
    if "page" not in request.fixturenames:
        monkeypatch.setattr("reranker_bench.report.page.write_page", lambda report, folder: None)


@pytest.fixture
def page() -> None:
    """Ask for the page to be written."""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "tiny")


@pytest.fixture
def compare(dataset: Path, tmp_path: Path) -> Callable[..., tuple[Report, bool]]:
    """Run a comparison on doubles; options as of `CompareOptions`."""

    def run(
        *,
        observer: RecordingObserver | None = None,
        engine: type[Reranker] = Reranker,
        **options: object,
    ) -> tuple[Report, bool]:
        values = {"datasets": (str(dataset),), "output": tmp_path / "out", "latency_queries": 2}
        return run_comparison(
            CompareOptions(**{**values, **options}),  # type: ignore[arg-type]
            Settings(),
            lambda cache_mb: engine(Settings(), models=FakeModels()),
            observer or RecordingObserver(),
        )

    return run
