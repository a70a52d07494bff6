"""A comparison from its options to its report, for the command line and scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reranker_bench import environment
from reranker_bench.comparison import shards
from reranker_bench.comparison.plan import LATENCY_QUERIES, METHODS, WHOLE, Plan, Shard
from reranker_bench.comparison.records import RecordStore
from reranker_bench.comparison.runner import Comparison, EngineMaker, Observer
from reranker_bench.data.candidate_pools import POOL_SIZE, Dataset
from reranker_bench.data.collections import read_collections
from reranker_bench.report import files, page, report

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.settings import Settings

NO_CROSS = "none"
CACHE_MB = 1024


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What a user may choose; see `reranker compare --help`."""

    datasets: tuple[str, ...]
    output: Path
    methods: tuple[str, ...] = METHODS
    model: str | None = None
    model_cross: str | None = None
    split: str | None = None
    limit: int | None = None
    pool_size: int = POOL_SIZE
    stage1_top_k: int = 100
    max_tokens_per_doc: int = 512
    latency_queries: int = LATENCY_QUERIES
    cache_mb: int = CACHE_MB
    resume: bool = False
    overwrite: bool = False
    shard: Shard = WHOLE
    merge: tuple[Path, ...] = ()
    ray_workers: int = 0


def plan_of(options: CompareOptions, settings: Settings) -> Plan:
    """Return the plan, with the settings' models where the options name none."""
    cross = options.model_cross or settings.model_cross
    return Plan(
        methods=options.methods,
        model=options.model or settings.model,
        model_cross=None if cross.lower() == NO_CROSS else cross,
        stage1_top_k=options.stage1_top_k,
        max_tokens_per_doc=options.max_tokens_per_doc,
        latency_queries=options.latency_queries,
        shard=options.shard,
    )


def run_comparison(
    options: CompareOptions, settings: Settings, make_engine: EngineMaker, observer: Observer
) -> tuple[report.Report, bool]:
    """Compare, and write the report; also over what was done before an interruption.

    Returns:
        the report, and whether the work was interrupted.

    Raises:
        DatasetError: a data set is wrong.
        PlanError: the output folder holds something else, or shards do not fit.
        RerankerError: a method or model is unknown or unavailable.
    """
    plan = plan_of(options, settings)
    collections = read_collections(
        options.datasets, options.split, options.limit, options.pool_size
    )
    if options.merge:
        store = shards.merge(
            options.merge, options.output, plan, collections, overwrite=options.overwrite
        )
        return _write(options, plan, collections, store), False
    store = RecordStore(
        options.output,
        plan.identity(collections),
        resume=options.resume,
        overwrite=options.overwrite,
    )
    comparison = Comparison(plan, collections, store, make_engine, observer)
    try:
        if options.ray_workers:
            from reranker_bench.comparison.ray_workers import rank_with_ray

            own = settings.model_copy(update={"cache_mb": options.cache_mb})
            rank_with_ray(comparison, collections, own, options.ray_workers)
        comparison.run()
    except KeyboardInterrupt:
        return _write(options, plan, collections, store), True
    return _write(options, plan, collections, store), False


def _write(
    options: CompareOptions,
    plan: Plan,
    collections: Sequence[Dataset],
    store: RecordStore,
) -> report.Report:
    result = report.build_report(
        plan,
        collections,
        store,
        machine={**environment.machine(), **store.machine},
        settings={"split": options.split, "limit": options.limit, "cache_mb": options.cache_mb},
    )
    files.write_report(result, options.output)
    page.write_page(result, options.output)
    return result


def new_engine(settings: Settings, configured_mb: int, cache_mb: int | None) -> Reranker:
    """Return an engine with other settings of its caches; see `EngineMaker`.

    Args:
        settings: of the engine.
        configured_mb: cache of each model, in MiB, where `cache_mb` is None.
        cache_mb: cache of each model, in MiB.
    """
    from reranker.engine import Reranker
    from reranker.process_tuning import tune_process

    size = configured_mb if cache_mb is None else cache_mb
    tune_process()
    return Reranker(settings.model_copy(update={"cache_mb": size}))
