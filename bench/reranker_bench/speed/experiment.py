"""A measurement of speed from its options to its numbers, for the command line and scripts.

{"schema": 1, "target": "engine" or the server's address,
"command", "measured": UTC time, "machine", "versions",
"settings": {documents, seconds, repeats, dataset},
"matmul_gflops": {median, low, high} or null,
"rows": [{"method", "state": cold | warm, "clients",
"requests_per_second": {median, low, high: quartiles of the repeats},
"documents_per_second": the same, "p50_ms", "p95_ms", "p99_ms",
"errors": {kind: count}}]}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from reranker_bench import environment
from reranker_bench.data.collections import SAMPLE, open_collection
from reranker_bench.speed import closed_loop, http_client, matmul, workload
from reranker_bench.speed.closed_loop import Load
from reranker_bench.speed.engine_client import EngineClient
from reranker_bench.speed.http_client import Address, HttpClient
from reranker_bench.speed.statistics import percentiles, spread
from reranker_bench.speed.workload import CACHE_STATES, Workload

if TYPE_CHECKING:
    from reranker.settings import Settings

SCHEMA = 1
RERANK = "/api/v3/inference/reranker"
LoadTarget = Callable[[Workload, int, int], Load]
"""Loads what is measured with a workload by so many clients; the last number is a seed."""


@dataclass(frozen=True, slots=True)
class SpeedOptions:
    """What a user may choose; see `reranker speed --help`."""

    methods: Sequence[str]
    address: Address | None = None
    model: str | None = None
    model_cross: str | None = None
    dataset: str = SAMPLE
    documents: int = 20
    clients: Sequence[int] = (1, 8)
    seconds: float = 3.0
    repeats: int = 3


@dataclass(slots=True)
class _Cell:
    """The loads of one workload by one number of clients."""

    workload: Workload
    clients: int
    loads: list[Load] = field(default_factory=list)


def measure_speed(
    options: SpeedOptions, settings: Settings, observe: Callable[[str], None]
) -> dict[str, Any]:
    """Measure a server, or an engine in this process where no address is given.

    Args:
        options: what to measure.
        settings: of the engine; of a server's, the default model alone.
        observe: is called with what is being done.

    Returns:
        numbers, see the module.

    Raises:
        DatasetError: the data set is missing or malformed.
        RerankerError: a first request of a method fails.
    """
    models = {"model": options.model or settings.model}
    if options.model_cross:
        models["model_cross"] = options.model_cross
    source = open_collection(options.dataset)
    workloads = [
        workload.build_workload(source, method, state, options.documents, models)
        for method in options.methods
        for state in CACHE_STATES
    ]
    cells = [_Cell(each, clients) for each in workloads for clients in options.clients]
    peaks = []
    with _target(options, settings, workloads, observe) as load:
        for number in range(options.repeats):
            for cell in cells:
                name = f"{cell.workload.method}, {cell.workload.state}, {cell.clients} clients"
                observe(f"run {number + 1} of {options.repeats}: {name}")
                cell.loads.append(load(cell.workload, cell.clients, number))
            if options.address is None:
                peaks.append(matmul.gflops())
    return {
        "schema": SCHEMA,
        "target": f"{options.address.host}:{options.address.port}" if options.address else "engine",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": environment.machine(),
        "versions": environment.versions(),
        "settings": {
            "documents": options.documents,
            "seconds": options.seconds,
            "repeats": options.repeats,
            "dataset": source.name,
        },
        "matmul_gflops": spread(peaks).to_json() if peaks else None,
        "rows": [_row(cell, options.documents) for cell in cells],
    }


@contextmanager
def _target(
    options: SpeedOptions,
    settings: Settings,
    workloads: Sequence[Workload],
    observe: Callable[[str], None],
) -> Iterator[LoadTarget]:
    """Yield what loads the target, after one request of each workload off the clock."""
    if (address := options.address) is not None:
        for each in workloads:
            observe(f"first request: {each.method}, {each.state}")
            http_client.ask(address, address.encode(RERANK, each.requests[0]))

        def load_server(each: Workload, clients: int, seed: int) -> Load:
            requests = [address.encode(RERANK, request) for request in each.requests]
            return closed_loop.run_load(
                partial(HttpClient, address), requests, clients, options.seconds, seed
            )

        yield load_server
        return
    from reranker.engine import Reranker
    from reranker.process_tuning import tune_process

    tune_process()
    with Reranker(settings) as engine:
        client = EngineClient(engine)
        for each in workloads:
            observe(f"first request: {each.method}, {each.state}")
            client.rank(each.requests[0], closed_loop.next_stamp())
        client.close()
        yield lambda each, clients, seed: closed_loop.run_load(
            partial(EngineClient, engine), each.requests, clients, options.seconds, seed
        )


def _row(cell: _Cell, documents: int) -> dict[str, Any]:
    rates = [load.rate for load in cell.loads]
    seconds = [each for load in cell.loads for each in load.seconds]
    errors: dict[str, int] = {}
    for load in cell.loads:
        for kind, count in load.errors.items():
            errors[kind] = errors.get(kind, 0) + count
    return {
        "method": cell.workload.method,
        "state": cell.workload.state,
        "clients": cell.clients,
        "requests_per_second": spread(rates).to_json(),
        "documents_per_second": spread([documents * rate for rate in rates]).to_json(),
        **(percentiles(seconds) if seconds else {}),
        "errors": errors,
    }
