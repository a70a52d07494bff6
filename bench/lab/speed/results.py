"""What a workload found, and the file it is kept in.

`speed.json` (schema 1)::

    {"schema": 1,
     "workloads": {"w1": {
       "title", "unit": what a rate counts a second,
       "command", "made": UTC time, "machine": {system, processor, cores, memory_gb, flags},
       "settings": {threads, device, repeats, data, ...}: what the workload ran with,
       "rows": [{
         "name": side or setting, "dtype": dtype,
         "state": measured | not installed | failed | disagrees, "why": null or one line,
         "versions": {package: version}, "settings": of the library,
         "rates": units a second, one a repeat, interleaved with the other rows,
         "rate": {median, low, high: quartiles} of these, or null,
         "extra": difference (largest, to the reference's scores), tolerance, peak_mb, tflops,
                  p50_ms, p95_ms, p99_ms, errors, tokens, as far as the workload has them}],
       "ratios": [{"row", "against": names of rows, "median", "low", "high": quartiles of the
                  ratio of rates, taken repeat by repeat}],
       "notes": sentences}}}

Running some workloads again replaces these and keeps the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reranker_bench.speed.statistics import Spread, ratio, spread

SCHEMA = 1
FILE = "speed.json"
MEASURED, NOT_INSTALLED, FAILED, DISAGREES = "measured", "not installed", "failed", "disagrees"


class ResultsError(ValueError):
    """A results file cannot be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a workload's table; see the module's schema."""

    name: str
    dtype: str = ""
    state: str = MEASURED
    why: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Return name and dtype."""
        return f"{self.name} {self.dtype}".strip()

    @property
    def rate(self) -> Spread | None:
        """Return median and quartiles of the rates."""
        return spread(self.rates) if self.rates else None

    def to_json(self) -> dict[str, Any]:
        """Return the row as the schema says."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "state": self.state,
            "why": self.why,
            "versions": dict(self.versions),
            "settings": dict(self.settings),
            "rates": [float(f"{rate:.5g}") for rate in self.rates],
            "rate": self.rate.to_json() if self.rate else None,
            "extra": dict(self.extra),
        }


@dataclass(frozen=True, slots=True)
class WorkloadResult:
    """One workload's rows, and which of them to hold against which, by label."""

    title: str
    unit: str
    rows: Sequence[Row]
    against: Sequence[tuple[str, str]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def ratios(self) -> list[dict[str, Any]]:
        """Return the ratios of pairs that were both measured."""
        rates = {row.label: row.rates for row in self.rows if row.rates}
        return [
            {"row": own, "against": other, **ratio(rates[own], rates[other]).to_json()}
            for own, other in self.against
            if own in rates and other in rates
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the workload as the schema says, without what the run adds."""
        return {
            "title": self.title,
            "unit": self.unit,
            "settings": dict(self.settings),
            "rows": [row.to_json() for row in self.rows],
            "ratios": self.ratios(),
            "notes": list(self.notes),
        }


def read(path: Path) -> dict[str, Any]:
    """Return a results file's content; an empty one where there is none.

    Raises:
        ResultsError: it is not of this schema.
    """
    if not path.exists():
        return {"schema": SCHEMA, "workloads": {}}
    try:
        found = json.loads(path.read_text("utf-8"))
        known = found["schema"] == SCHEMA and isinstance(found["workloads"], dict)
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path}: not a results file of this command") from error
    if not known:
        raise ResultsError(f"{path}: has another schema than {SCHEMA}")
    return dict(found)


def keep(path: Path, workloads: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Put workloads into a results file, beside those it holds already; return all.

    Raises:
        ResultsError: the file holds something else.
    """
    whole = read(path)
    merged = {**whole["workloads"], **workloads}
    whole["workloads"] = {name: merged[name] for name in sorted(merged)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return whole
