"""A measurement from its options to its files; what the command line and scripts call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.speed import machine, plot, results
from lab.speed.options import RaceOptions
from lab.speed.results import WorkloadResult
from lab.speed.workloads import encoders, growth, serving
from lab.speed.workloads import methods as engine
from lab.speed.workloads.race import Observe
from reranker_bench import environment

PLOT = "speed.png"
RUNNERS: Mapping[str, Callable[[RaceOptions, Observe], WorkloadResult]] = {
    "w1": encoders.w1,
    "w2": encoders.w2,
    "w3": encoders.w3,
    "w3m3": encoders.w3m3,
    "w4": engine.w4,
    "w5": serving.w5,
    "w6": growth.w6,
}


def run_workloads(
    options: RaceOptions, output: Path, command: str, observe: Observe
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure workload after workload, and keep each as soon as it is done.

    Yields:
        name and results of each workload, as `speed.json` holds them.

    Raises:
        DatasetError: the collection is malformed.
        ResultsError: the output folder holds another file of the same name.
        PeerFailure: our own side failed where it runs alone.
        ServerFailure: one of our servers did not start.
        FileNotFoundError: the package of the embedded model is not installed.
    """
    path = output / results.FILE
    results.read(path)
    for name in options.workloads:
        found = RUNNERS[name](options, observe).to_json() | _origin(command)
        plot.write(results.keep(path, {name: found}), output / PLOT)
        yield name, found


def _origin(command: str) -> dict[str, Any]:
    return {
        "command": command,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": environment.versions(),
    }
