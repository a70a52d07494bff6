"""A measurement from its options to its files; what the command line and scripts call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.speed import machine, plot, results
from lab.speed.options import Options
from lab.speed.results import Found
from lab.speed.workloads import encoders, growth, serving, texts
from lab.speed.workloads import methods as engine
from lab.speed.workloads.race import Observe
from reranker_bench import environment

PLOT = "speed.png"
RUNNERS: Mapping[str, Callable[[Options, Observe], Found]] = {
    "w1": encoders.w1,
    "w2": encoders.w2,
    "w3": encoders.w3,
    "w3m3": encoders.w3m3,
    "w4": engine.w4,
    "w5": serving.w5,
    "w6": growth.w6,
}


def run(
    options: Options, output: Path, command: str, observe: Observe
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


def run_profile(
    options: Options, output: Path, label: str, command: str, observe: Observe
) -> dict[str, Any]:
    """Profile every method, and keep it under a label; return what is kept.

    Raises:
        DatasetError, ResultsError, RerankerError: as they come.
    """
    from lab.speed.profile import profile, profile_file
    from reranker.engine import Reranker
    from reranker.settings import Settings

    path = output / profile_file.FILE
    profile_file.read(path)
    source = texts.collection(options.data)
    pools = texts.pools(source, options.queries or 1, options.documents or 100)
    chosen = {"backend": options.backend, "device": options.device, "threads": options.threads}
    settings = Settings.model_validate({"offline": True, "cache_mb": 0, **chosen})
    with Reranker(settings) as reranker:
        methods = profile.profile(reranker, pools, options.repeats, observe)
        found = {
            **_origin(command),
            "machine": machine.describe() | environment.machine(reranker),
            "settings": options.to_json()
            | {"data": source.name, "documents": len(pools[0].documents)},
            "methods": methods,
        }
    profile_file.keep(path, label, found)
    return found


def _origin(command: str) -> dict[str, Any]:
    return {
        "command": command,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "versions": environment.versions(),
    }
