"""Ranking on many workers by Ray Data; the rest of a comparison stays in this process.

Each worker holds one engine and takes whole queries, each with all methods still to do, so
results that methods share are found in its cache. Rankings come back as records and are kept
one by one, like those of a single process. Latency is measured in this process afterwards:
workers that compete for a machine would distort it.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reranker.errors import MissingExtra
from reranker_bench import environment
from reranker_bench.comparison import ranking
from reranker_bench.comparison.plan import Task
from reranker_bench.comparison.records import RankRecord, record_from
from reranker_bench.comparison.runner import models_of

if TYPE_CHECKING:
    from reranker.settings import Settings
    from reranker_bench.comparison.plan import Plan
    from reranker_bench.comparison.runner import Comparison
    from reranker_bench.data.candidate_pools import Dataset

QUERIES_A_BATCH = 4


class RayWorker:
    """One engine on one worker.

    Args:
        plan: what to do.
        collections: the data sets, name to collection.
        settings: of the engine.
    """

    def __init__(self, plan: Plan, collections: Mapping[str, Dataset], settings: Settings) -> None:
        from reranker.engine import Reranker
        from reranker.process_tuning import tune_process

        tune_process()
        self._engine = Reranker(settings)
        ranking.warm_up(self._engine, plan, plan.methods)
        self._plan = plan
        self._collections = collections
        self._about = json.dumps(
            {"models": models_of(self._engine, plan), "machine": environment.machine(self._engine)}
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Rank a batch of queries; the columns hold JSON, as records have no fixed schema."""
        records = [
            json.dumps(asdict(ranking.rank_pool(self._engine, self._plan, collection, task)))
            for row in batch["tasks"]
            for task in _tasks(str(row))
            for collection in (self._collections[task.dataset],)
        ]
        return {"record": records, "about": [self._about] * len(records)}


def rank_with_ray(
    comparison: Comparison,
    collections: Sequence[Dataset],
    settings: Settings,
    workers: int,
) -> None:
    """Do a comparison's pending rankings on Ray workers.

    A cluster is used if RAY_ADDRESS names one, else this machine, its cores shared out.

    Args:
        comparison: keeps the results.
        collections: the data sets.
        settings: of the workers' engines.
        workers: how many engines.

    Raises:
        MissingExtra: Ray is not installed.
        PlanError: a worker has other weights than the rankings that were done before.
    """
    try:
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "Ray is not installed; it belongs to the extra 'ray': "
            "pip install '.[ray]' in the project's folder"
        ) from error
    pending = comparison.pending()
    if not pending:
        return
    comparison.begin_ranking(pending)
    ray.init(
        num_cpus=None if os.environ.get("RAY_ADDRESS") else workers,
        include_dashboard=False,
        logging_level="ERROR",
    )
    try:
        stream = _stream(ray, comparison.plan, pending, collections, settings, workers)
        for record, models, machine in stream:
            comparison.store.use_models(models)
            comparison.store.note_machine(machine)
            comparison.keep(record)
    finally:
        ray.shutdown()


def _stream(
    ray: Any,
    plan: Plan,
    pending: Sequence[Task],
    collections: Sequence[Dataset],
    settings: Settings,
    workers: int,
) -> Iterator[tuple[RankRecord, dict[str, object], dict[str, object]]]:
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = [{"tasks": text} for text in _by_query(pending)]
    blocks = max(workers, -(-len(rows) // QUERIES_A_BATCH))
    data = ray.data.from_items(rows, override_num_blocks=min(blocks, len(rows)))
    ranked = data.map_batches(
        RayWorker,
        fn_constructor_args=(
            plan,
            {each.name: each for each in collections},
            with_threads(settings, _threads(workers)),
        ),
        batch_size=QUERIES_A_BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    for row in ranked.iter_rows():
        about = json.loads(row["about"])
        yield record_from(json.loads(row["record"])), about["models"], about["machine"]


def with_threads(settings: Settings, threads: int) -> Settings:
    """Return the settings with so many CPU threads, unless they name a number."""
    tuning = settings.tuning.model_copy(update={"threads": settings.tuning.threads or threads})
    return settings.model_copy(update={"tuning": tuning})


def _by_query(pending: Sequence[Task]) -> list[str]:
    """Return each query's tasks as JSON, in order."""
    groups: dict[tuple[str, str], list[str]] = {}
    for task in pending:
        groups.setdefault((task.dataset, task.query), []).append(task.method)
    return [json.dumps([dataset, query, methods]) for (dataset, query), methods in groups.items()]


def _tasks(text: str) -> Iterator[Task]:
    dataset, query, methods = json.loads(text)
    for method in methods:
        yield Task(dataset, query, method)


def _threads(workers: int) -> int:
    from reranker.backends.device import usable_cpus

    return max(1, usable_cpus() // workers)
