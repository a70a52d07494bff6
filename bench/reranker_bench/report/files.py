"""The report's files: `report.json`, `per_query.json` and TREC runs.

`report.json` is described in `report`; `per_query.json` holds data set -> method -> measure ->
query -> value.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from reranker_bench.evaluation.outcomes import DatasetOutcome
    from reranker_bench.report.report import Report


def write_report(report: Report, folder: Path) -> None:
    """Write `report.json`, `per_query.json` and the TREC runs."""
    (folder / "report.json").write_text(_json(report.data), encoding="utf-8")
    values = {each.collection.name: each.values for each in report.outcomes}
    (folder / "per_query.json").write_text(_json(values), encoding="utf-8")
    runs = folder / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for outcome in report.outcomes:
        for method in report.methods:
            write_run(outcome, method, runs / f"{outcome.collection.name}.{method}.run")


def write_run(outcome: DatasetOutcome, method: str, path: Path) -> None:
    """Write a TREC run whose scores fall strictly with the rank, so that no reader finds a tie."""
    with path.open("w", encoding="utf-8") as file:
        for query, record in outcome.records[method].items():
            size = len(record.documents)
            for rank, document in enumerate(record.documents, start=1):
                file.write(f"{query} Q0 {document} {rank} {size - rank + 1} {method}\n")


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
