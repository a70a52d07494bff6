"""A data set of four queries, engines that fail, and an observer, for tests of comparisons."""

from __future__ import annotations

import json
from pathlib import Path

from reranker.engine import Reranker
from reranker.errors import InferenceError
from reranker_bench.comparison.plan import Task

CORPUS = {
    "d1": "the winter ferry sails at seven",
    "d2": "the summer ferry sails at nine and at ten and at eleven",
    "d3": "charge the battery indoors",
    "d4": "prune apple trees in winter",
}
QUERIES = {"q1": "winter ferry", "q2": "charge battery", "q3": "apple trees", "q4": "summer ferry"}
QRELS = {"q1": {"d1": 2, "d2": 1}, "q2": {"d3": 1}, "q3": {"d4": 1}, "q4": {"d2": 1}}


class RecordingObserver:
    """Records the calls, and may interrupt the comparison."""

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


def write_dataset(folder: Path) -> Path:
    """Write the data set as a BEIR folder; return it."""
    (folder / "qrels").mkdir(parents=True)
    for name, table in (("corpus", CORPUS), ("queries", QUERIES)):
        rows = (json.dumps({"_id": key, "text": text}) for key, text in table.items())
        (folder / f"{name}.jsonl").write_text("\n".join(rows), "utf-8")
    lines = [f"{q}\t{d}\t{grade}" for q, grades in QRELS.items() for d, grade in grades.items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines), "utf-8")
    run = (f"{q} Q0 {d} {rank} 0 all" for q in QUERIES for rank, d in enumerate(CORPUS, 1))
    (folder / "candidates.run").write_text("\n".join(run), "utf-8")
    return folder
