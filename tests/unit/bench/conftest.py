"""A comparison on model doubles and a data set of three queries."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fakes import FakeModels

from reranker.engine import Reranker
from reranker.errors import InferenceError
from reranker.settings import Settings
from reranker_bench.comparison import experiment as session
from reranker_bench.comparison.plan import Task
from reranker_bench.report.report import Report

CORPUS = {
    "d1": "the winter ferry sails at seven",
    "d2": "the summer ferry sails at nine and at ten and at eleven",
    "d3": "charge the battery indoors",
    "d4": "prune apple trees in winter",
}
QUERIES = {"q1": "winter ferry", "q2": "charge battery", "q3": "apple trees", "q4": "summer ferry"}
QRELS = {"q1": {"d1": 2, "d2": 1}, "q2": {"d3": 1}, "q3": {"d4": 1}, "q4": {"d2": 1}}


class Heard:
    """An observer that writes down what it is told, and may interrupt."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.phases: list[tuple[str, int, int]] = []
        self.steps: list[tuple[Task, str | None]] = []
        self._left = interrupt_after

    def begin(self, phase: str, total: int, done: int) -> None:
        self.phases.append((phase, total, done))

    def step(self, task: Task, error: str | None = None) -> None:
        self.steps.append((task, error))
        if self._left is not None:
            self._left -= 1
            if not self._left:
                raise KeyboardInterrupt


class Failing(Reranker):
    """Fails one method on one query."""

    def rank(self, query, documents, *, method="fast", **options):
        if (query, method) == ("charge battery", "standard"):
            raise InferenceError("the model did not like it")
        return super().rank(query, documents, method=method, **options)


class Hopeless(Reranker):
    """Fails one method on every query."""

    def rank(self, query, documents, *, method="fast", **options):
        if method == "standard":
            raise InferenceError("never works")
        return super().rank(query, documents, method=method, **options)


@pytest.fixture(autouse=True)
def _page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no pictures, which takes seconds, unless the test is about the page."""
    if "page" not in request.fixturenames:
        monkeypatch.setattr("reranker_bench.report.page.write", lambda report, folder: None)


@pytest.fixture
def page() -> None:
    """Ask for the page to be written."""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    (folder / "qrels").mkdir(parents=True)
    for name, table in (("corpus", CORPUS), ("queries", QUERIES)):
        rows = (json.dumps({"_id": key, "text": text}) for key, text in table.items())
        (folder / f"{name}.jsonl").write_text("\n".join(rows), "utf-8")
    lines = [f"{q}\t{d}\t{grade}" for q, grades in QRELS.items() for d, grade in grades.items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines), "utf-8")
    run = (f"{q} Q0 {d} {rank} 0 all" for q in QUERIES for rank, d in enumerate(CORPUS, 1))
    (folder / "candidates.run").write_text("\n".join(run), "utf-8")
    return folder


@pytest.fixture
def compare(dataset: Path, tmp_path: Path) -> Callable[..., tuple[Report, bool]]:
    """Run a comparison on doubles; options as of `session.Options`."""

    def run(
        *, observer: Heard | None = None, engine: type[Reranker] = Reranker, **options: object
    ) -> tuple[Report, bool]:
        values = {"datasets": (str(dataset),), "output": tmp_path / "out", "latency_queries": 2}
        return session.run(
            session.Options(**{**values, **options}),  # type: ignore[arg-type]
            Settings(),
            lambda cache_mb: engine(Settings(), models=FakeModels()),
            observer or Heard(),
        )

    return run
