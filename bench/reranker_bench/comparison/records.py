"""What a comparison has done so far, kept in files that survive an interruption.

The output folder holds `run.json` (what the comparison is), `records.jsonl` (one ranking a
line) and `timings.jsonl` (one timed ranking a line). Lines are appended and flushed one by
one; a line that an interruption cut is dropped when the folder is read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reranker_bench.comparison.plan import PlanError, Task, differing

IDENTITY, MODELS, MACHINE = "run.json", "models.json", "machine.json"
RECORDS, TIMINGS = "records.jsonl", "timings.jsonl"
DETAILED = 10  # documents from the top whose parts of the score are kept


@dataclass(frozen=True, slots=True)
class RankRecord:
    """One ranking, or why there is none.

    Attributes:
        dataset: name of the data set.
        query: id of the query.
        method: name of the method.
        documents: ids, best first.
        scores: the documents' scores, on the method's scale.
        details: of the first documents, the raw score of each stage and each fused feature.
        seconds: time of each stage.
        usage: tokens read and results found in the cache.
        truncated: how many documents were cut.
        warnings: of the engine.
        error: why the method failed; None if it did not.
    """

    dataset: str
    query: str
    method: str
    documents: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    details: tuple[Mapping[str, float], ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    usage: Mapping[str, int] = field(default_factory=dict)
    truncated: int = 0
    warnings: tuple[str, ...] = ()
    error: str | None = None

    @property
    def task(self) -> Task:
        """The ranking that this is the result of."""
        return Task(self.dataset, self.query, self.method)


@dataclass(frozen=True, slots=True)
class Timing:
    """One timed ranking.

    Attributes:
        state: "cold", nothing cached, or "warm", documents in the cache and query new.
        seconds: from call to return.
        documents: how many were ranked.
    """

    dataset: str
    query: str
    method: str
    state: str
    seconds: float
    documents: int


class RecordStore:
    """The records in an output folder.

    Args:
        folder: created if need be.
        identity: what the comparison is; see `Plan.identity`.
        resume: whether to go on with what the folder holds.
        overwrite: whether to drop what the folder holds.

    Raises:
        PlanError: the folder holds a comparison and neither is on, or another comparison.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, object],
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.folder = folder
        if overwrite:
            for name in (RECORDS, TIMINGS, MODELS, MACHINE):
                (folder / name).unlink(missing_ok=True)
        if (folder / RECORDS).exists():
            self._check(read_identity(folder), identity, resume)
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / IDENTITY, identity)
        self.records: dict[Task, RankRecord] = {}
        self.timings: dict[tuple[Task, str], Timing] = {}
        for row in _rows(folder / RECORDS):
            self._keep(record_from(row))
        for row in _rows(folder / TIMINGS):
            self._keep(Timing(**row))

    def add(self, item: RankRecord | Timing) -> None:
        """Keep a result in memory and on disk; the last one of a task counts."""
        name = RECORDS if isinstance(item, RankRecord) else TIMINGS
        line = json.dumps(asdict(item), ensure_ascii=False)
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._keep(item)

    def done(self, task: Task) -> bool:
        """Return whether a task has a ranking; a failed one is worth another try."""
        record = self.records.get(task)
        return record is not None and record.error is None

    def use_models(self, models: Mapping[str, object]) -> None:
        """Note which weights rank, the same ones throughout.

        Args:
            models: role to id and digest, as JSON values.

        Raises:
            PlanError: the folder's rankings are of other weights.
        """
        noted = self.models
        if noted == models:
            return
        if self.records and noted:
            raise PlanError(
                f"{self.folder} was begun with other weights (see {MODELS}): "
                "add --overwrite to drop it, or name another --output"
            )
        _write_json(self.folder / MODELS, models)

    @property
    def models(self) -> dict[str, Any]:
        """Role to id and digest of the weights that ranked; empty before the first ranking."""
        return self._note(MODELS)

    @property
    def machine(self) -> dict[str, Any]:
        """What the rankings ran on; empty before the first."""
        return self._note(MACHINE)

    def note_machine(self, machine: Mapping[str, object]) -> None:
        """Note what the rankings run on."""
        _write_json(self.folder / MACHINE, machine)

    def _note(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}

    def _keep(self, item: RankRecord | Timing) -> None:
        if isinstance(item, RankRecord):
            self.records[item.task] = item
        else:
            self.timings[Task(item.dataset, item.query, item.method), item.state] = item

    def _check(
        self, found: Mapping[str, object], expected: Mapping[str, object], resume: bool
    ) -> None:
        if not resume:
            raise PlanError(
                f"{self.folder} holds a comparison already: add --resume to go on with it, "
                "--overwrite to drop it, or name another --output"
            )
        if keys := differing(found, expected):
            raise PlanError(
                f"{self.folder} holds another comparison; it differs in: {', '.join(keys)}"
            )


def read_identity(folder: Path) -> dict[str, Any]:
    """Return what the comparison in a folder is.

    Raises:
        PlanError: there is none, or its marker is broken.
    """
    try:
        found = json.loads((folder / IDENTITY).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise PlanError(
            f"{folder} holds no comparison ({IDENTITY} is missing or broken)"
        ) from error
    if not isinstance(found, dict):
        raise PlanError(f"{folder} holds no comparison ({IDENTITY} is broken)")
    return found


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def record_from(row: Mapping[str, Any]) -> RankRecord:
    """Return the record that a row of JSON holds."""
    lists = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
    return RankRecord(**{**row, **lists})


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, first cutting off a last line that was not finished."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        path.write_bytes(data[:whole])
    for number, line in enumerate(data[:whole].decode("utf-8").splitlines(), start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise PlanError(f"{path}:{number}: not a record; was the file edited?") from error
