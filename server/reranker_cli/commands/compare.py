"""`reranker compare`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from reranker_cli import output as out
from reranker_cli.commands.collection_options import (
    EXTRA,
    Datasets,
    Limit,
    Model,
    ModelCross,
    PoolSize,
    Split,
)
from reranker_cli.configuration import ConfigOption, engine_settings, extra
from reranker_cli.output import Status, console

if TYPE_CHECKING:
    from reranker_bench.report.report import Report

_SHOWN_FAILURES = 10


def compare(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")],
    dataset: Datasets = ["sample"],  # noqa: B006  # typer reads it, nobody writes to it
    methods: Annotated[
        str, typer.Option(help="With commas; the first is the baseline of the tests.")
    ] = "fast,standard,optimal,best",
    model: Model = None,
    model_cross: ModelCross = None,
    split: Split = None,
    limit: Limit = None,
    stage1_top_k: Annotated[
        int, typer.Option("--stage1-top-k", min=1, help="Documents that leave stage 1.")
    ] = 100,
    max_tokens_per_doc: Annotated[
        int, typer.Option(min=1, help="Where documents are truncated.")
    ] = 512,
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
    config: ConfigOption = None,
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
    with out.wrong_input():
        status = _compare(options, shard, config)
    raise typer.Exit(status)


def _compare(options: dict[str, Any], shard: str, config: Path | None) -> Status:
    with extra(EXTRA):
        from reranker_bench.comparison import experiment
        from reranker_bench.comparison.plan import Shard
        from reranker_cli.progress import Bars
    settings, _ = engine_settings(config)
    chosen = experiment.CompareOptions(**options, shard=Shard.parse(shard))
    make_engine = partial(experiment.new_engine, settings, chosen.cache_mb)
    try:
        with _sigterm_interrupts(), Bars(console) as bars:
            report, interrupted = experiment.run_comparison(chosen, settings, make_engine, bars)
    except KeyboardInterrupt:  # before the first ranking, or while the report was written
        console.print("[yellow]Interrupted.[/] What was ranked is kept; go on with --resume.")
        return Status.INTERRUPTED
    _show(report, chosen.output)
    if interrupted:
        console.print("[yellow]Interrupted.[/] The same command with --resume goes on from here.")
        return Status.INTERRUPTED
    return Status.OK if report.whole else Status.FAILED


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM, which stops a container, end the work as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(report: Report, folder: Path) -> None:
    """Show the numbers, the advice, the failures, and where the report is."""
    from reranker_bench.evaluation.measures import MEASURES

    for name, dataset in report.data["datasets"].items():
        table = Table(title=name, title_justify="left", title_style="bold")
        table.add_column("method")
        for heading in (*MEASURES, "cold p50", "warm p50"):
            table.add_column(heading, justify="right")
        for method in report.methods:
            values = dataset[method]
            times = (values["latency"].get(state) for state in ("cold", "warm"))
            shown = [f"{1000 * each['p50']:,.0f} ms" if each else "" for each in times]
            table.add_row(method, *(f"{values[m]:.4f}" for m in MEASURES), *shown)
        console.print(table)
    for sentences in (*report.data["advice"].values(), report.data["notes"]):
        for sentence in sentences:
            out.note(f"• {sentence}")
    failures = report.data["failures"]
    for failure in failures[:_SHOWN_FAILURES]:
        where = f"{failure['dataset']}, query {failure['query']}, {failure['method']}"
        console.print(f"[red]failed:[/] {escape(where)}: {escape(failure['error'])}")
    if len(failures) > _SHOWN_FAILURES:
        console.print(f"[red]and {len(failures) - _SHOWN_FAILURES} more[/], see report.json")
    console.print(f"Report: [bold]{escape(str(folder / 'report.html'))}[/]")
