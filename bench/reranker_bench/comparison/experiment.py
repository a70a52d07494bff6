"""A comparison from its options to its report; what the command line and scripts call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from reranker_bench import environment
from reranker_bench.comparison import shards
from reranker_bench.comparison.plan import LATENCY_QUERIES, METHODS, WHOLE, Plan, Shard, check_names
from reranker_bench.comparison.records import Store
from reranker_bench.comparison.runner import Comparison, EngineMaker, Observer
from reranker_bench.data.beir import DatasetError, RetrievalSet, load
from reranker_bench.data.candidate_pools import POOL_SIZE, Collection, collect
from reranker_bench.data.json_lines import STDIN, load_listed
from reranker_bench.report import page, report

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.settings import Settings

SAMPLE = "sample"
"""The data set's name that stands for the collection shipped with this package."""

NO_CROSS = "none"
CACHE_MB = 1024


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose; see the command line's help."""

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


def plan_of(options: Options, settings: Settings) -> Plan:
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


def read_collections(options: Options) -> list[Collection]:
    """Read all data sets and freeze their pools.

    Raises:
        DatasetError: of all data sets that are wrong, one line each.
    """
    found, wrong = [], []
    for name in options.datasets:
        try:
            source = open_set(name, options.split)
            found.append(collect(source, options.limit, options.pool_size))
        except DatasetError as error:
            wrong.append(str(error))
    if wrong:
        raise DatasetError("\n".join(wrong))
    check_names(found)
    return found


def open_set(name: str, split: str | None = None) -> RetrievalSet:
    """Read one data set: a BEIR folder, a JSONL file, "-" for standard input, or the sample.

    Raises:
        DatasetError: it is missing or malformed.
    """
    path = Path(name)
    if name == STDIN or path.is_file():
        return load_listed(name)
    if name == SAMPLE and not path.exists():
        return load(sample_folder())
    if not path.exists():
        raise DatasetError(f"{name}: no such folder or file")
    return load(path, split)


def sample_folder() -> Path:
    """Return the folder of the collection shipped with this package."""
    return Path(str(files("reranker_bench").joinpath("data", "sample")))


def run(
    options: Options, settings: Settings, make_engine: EngineMaker, observer: Observer
) -> tuple[report.Report, bool]:
    """Compare, and write the report; also over what was done before an interruption.

    Returns:
        the report, and whether the work was interrupted.

    Raises:
        DatasetError: a data set is wrong.
        PlanError: the output folder holds something else, or shards do not fit.
        RerankerError: a method or model is unknown or cannot be had.
    """
    plan = plan_of(options, settings)
    collections = read_collections(options)
    if options.merge:
        store = shards.merge(
            options.merge, options.output, plan, collections, overwrite=options.overwrite
        )
        return _write(options, plan, collections, store), False
    store = Store(
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
    options: Options, plan: Plan, collections: Sequence[Collection], store: Store
) -> report.Report:
    made = report.build(
        plan,
        collections,
        store,
        machine={**environment.machine(), **store.machine},
        settings={"split": options.split, "limit": options.limit, "cache_mb": options.cache_mb},
    )
    report.write(made, options.output)
    page.write(made, options.output)
    return made


def engine(settings: Settings, cache_mb: int) -> Reranker:
    """Return an engine with the given settings but its own memory for results, in MiB a model."""
    from reranker.engine import Reranker

    return Reranker(settings.model_copy(update={"cache_mb": cache_mb}))
