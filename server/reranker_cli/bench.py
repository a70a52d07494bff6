"""The commands `compare`, `tune` and `speed`, to be mounted on the `reranker` command line.

With `speed.command` the only module of the package that prints. Exit codes: 0 the result is
whole, 1 it is not (rankings failed or are missing), 2 the input is wrong, 130 interrupted.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from reranker.engine import Reranker

NOT_WHOLE, WRONG_INPUT, INTERRUPTED = 1, 2, 130
INSTALL = "pip install 'reranker[bench]'"
console = Console(stderr=True)

Datasets = Annotated[
    list[str],
    typer.Option(
        "--dataset",
        help="BEIR folder, .jsonl file, - for standard input, or 'sample'; may be repeated.",
    ),
]
Model = Annotated[str | None, typer.Option("--model", help="Bi-encoder; default: as configured.")]
ModelCross = Annotated[
    str | None,
    typer.Option(
        "--model-cross",
        help="Cross-encoder; 'none' leaves it out of `best`; default: as configured.",
    ),
]
Split = Annotated[str | None, typer.Option(help="Which file of qrels/, where there are several.")]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most this many queries a data set, evenly spaced.")
]
PoolSize = Annotated[
    int, typer.Option(min=1, help="BM25 candidates a query, where the data brings none.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.command("compare")(compare)
    app.command("tune")(tune)


def compare(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")],
    dataset: Datasets = ["sample"],  # noqa: B006  # typer reads it, nobody writes to it
    methods: Annotated[
        str, typer.Option(help="With commas; the first is what the others are held against.")
    ] = "fast,standard,optimal,best",
    model: Model = None,
    model_cross: ModelCross = None,
    split: Split = None,
    limit: Limit = None,
    stage1_top_k: Annotated[
        int, typer.Option("--stage1-top-k", min=1, help="Documents that leave stage 1.")
    ] = 100,
    max_tokens_per_doc: Annotated[int, typer.Option(min=1, help="Where documents are cut.")] = 512,
    pool_size: PoolSize = 100,
    latency_queries: Annotated[
        int, typer.Option(min=0, help="Queries a data set on which latency is measured.")
    ] = 10,
    cache_mb: Annotated[
        int, typer.Option(min=0, help="Memory for results, per model, while ranking.")
    ] = 1024,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what --output holds.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Drop what --output holds.")
    ] = False,
    shard: Annotated[str, typer.Option(help="Do part i of n of the queries, like 1/4.")] = "1/1",
    merge: Annotated[
        list[Path] | None, typer.Option(help="Output folder of a shard; repeat for all of them.")
    ] = None,
    ray_workers: Annotated[
        int, typer.Option(min=0, help="Rank on this many Ray workers; needs the extra ray.")
    ] = 0,
) -> None:
    """Compare methods on labelled queries: what each gains and costs, with evidence."""
    options = {
        "datasets": tuple(dataset),
        "output": output,
        "methods": tuple(part.strip() for part in methods.split(",") if part.strip()),
        "model": model,
        "model_cross": model_cross,
        "split": split,
        "limit": limit,
        "pool_size": pool_size,
        "stage1_top_k": stage1_top_k,
        "max_tokens_per_doc": max_tokens_per_doc,
        "latency_queries": latency_queries,
        "cache_mb": cache_mb,
        "resume": resume,
        "overwrite": overwrite,
        "merge": tuple(merge or ()),
        "ray_workers": ray_workers,
    }
    raise typer.Exit(_compare(options, shard))


def tune(
    output: Annotated[Path, typer.Option("--output", "-o", help="The profile, a .json file.")],
    dataset: Datasets = ["sample"],  # noqa: B006  # typer reads it, nobody writes to it
    model: Model = None,
    model_cross: ModelCross = None,
    split: Split = None,
    limit: Limit = None,
    pool_size: PoolSize = 100,
    folds: Annotated[int, typer.Option(min=2, help="Parts that the queries are dealt into.")] = 5,
    pull: Annotated[float, typer.Option(min=0, help="Pull towards equal weights.")] = 0.1,
    cache: Annotated[Path, typer.Option(help="Folder where features are kept.")] = Path(
        ".cache/tune"
    ),
    threshold: Annotated[
        str | None, typer.Option(help="Find a score_threshold: precision=0.9 or recall=0.8.")
    ] = None,
) -> None:
    """Fit `best` to labelled queries; adopt only what is measurably better."""
    options = {
        "datasets": tuple(dataset),
        "output": output,
        "model": model,
        "model_cross": model_cross,
        "split": split,
        "limit": limit,
        "pool_size": pool_size,
        "folds": folds,
        "pull": pull,
        "cache": cache,
    }
    raise typer.Exit(_tune(options, threshold))


def _tune(options: dict[str, object], goal: str | None) -> int:
    try:
        from reranker.engine import Reranker
        from reranker.errors import RerankerError
        from reranker_bench.data.beir import DatasetError
        from reranker_bench.tuning import experiment as tuning
        from reranker_bench.tuning.threshold import Goal, ThresholdError
        from reranker_bench.tuning.tune import TuneError
        from reranker_cli import summaries
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is not installed; install it with: {INSTALL}")
    try:
        wanted = Goal.parse(goal) if goal else None
        chosen = tuning.Options(**options, threshold=wanted)  # type: ignore[arg-type]
        with Reranker() as engine, console.status("computing features") as status:
            result = tuning.run(chosen, engine, status.update)
    except (DatasetError, TuneError, ThresholdError) as error:
        return _fail(str(error))
    except RerankerError as error:
        return _fail(error.for_operator())
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted.[/] Features computed so far are kept.")
        return INTERRUPTED
    summaries.tuned(result, chosen.output, console)
    return NOT_WHOLE if result.no_threshold else 0


def _compare(options: dict[str, object], shard: str) -> int:
    try:
        from reranker.errors import RerankerError
        from reranker.settings import Settings
        from reranker_bench.comparison import experiment as session
        from reranker_bench.comparison.plan import PlanError, Shard
        from reranker_bench.data.beir import DatasetError
        from reranker_cli import summaries
        from reranker_cli.progress import Bars
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is not installed; install it with: {INSTALL}")
    try:
        settings = Settings.load()

        def make_engine(cache_mb: int | None) -> Reranker:
            return session.engine(settings, chosen.cache_mb if cache_mb is None else cache_mb)

        chosen = session.Options(**options, shard=Shard.parse(shard))  # type: ignore[arg-type]
        with _stoppable(), Bars(console) as bars:
            report, interrupted = session.run(chosen, settings, make_engine, bars)
    except (DatasetError, PlanError) as error:
        return _fail(str(error))
    except RerankerError as error:
        return _fail(error.for_operator())
    except KeyboardInterrupt:  # before the first ranking, or while the report was written
        console.print("[yellow]Interrupted.[/] What was ranked is kept; go on with --resume.")
        return INTERRUPTED
    summaries.compared(report, chosen.output, console)
    if interrupted:
        console.print("[yellow]Interrupted.[/] The same command with --resume goes on from here.")
        return INTERRUPTED
    return 0 if report.whole else NOT_WHOLE


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM, which stops a container, end the work as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(message: str) -> int:
    for line in message.splitlines():
        console.print(f"[red]error:[/] {escape(line)}", soft_wrap=True)
    return WRONG_INPUT
