"""`reranker tune`."""

from __future__ import annotations

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
    from reranker_bench.tuning.experiment import ProfileFit


def tune(
    output: Annotated[Path, typer.Option("--output", "-o", help="The profile, a .json file.")],
    dataset: Datasets = ["sample"],  # noqa: B006  # typer reads it, nobody writes to it
    model: Model = None,
    model_cross: ModelCross = None,
    split: Split = None,
    limit: Limit = None,
    pool_size: PoolSize = 100,
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
    pull: Annotated[float, typer.Option(min=0, help="Pull towards equal weights.")] = 0.1,
    cache: Annotated[Path, typer.Option(help="Folder where features are kept.")] = Path(
        ".cache/tune"
    ),
    threshold: Annotated[
        str | None, typer.Option(help="Find a score_threshold: precision=0.9 or recall=0.8.")
    ] = None,
    config: ConfigOption = None,
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
    with out.wrong_input():
        status = _tune(options, threshold, config)
    raise typer.Exit(status)


def _tune(options: dict[str, Any], goal: str | None, config: Path | None) -> Status:
    with extra(EXTRA):
        from reranker import Reranker
        from reranker.process_tuning import tune_process
        from reranker_bench.tuning import experiment
        from reranker_bench.tuning.threshold import Goal
    settings, _ = engine_settings(config)
    chosen = experiment.TuneOptions(**options, threshold=Goal.parse(goal) if goal else None)
    try:
        tune_process()
        with Reranker(settings) as engine, console.status("computing features") as status:
            result = experiment.run_tuning(chosen, engine, status.update)
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted.[/] Features computed so far are kept.")
        return Status.INTERRUPTED
    _show(result, chosen.output)
    return Status.FAILED if result.no_threshold else Status.OK


def _show(result: ProfileFit, profile: Path) -> None:
    """Show the candidates, what was adopted, the threshold, and how to use the profile."""
    from reranker_bench.tuning.selection import CURRENT

    verdict = result.verdict
    table = Table("fusion", "weights", title="measured on queries it was not fitted on")
    for heading in ("nDCG@10", "gain over the profile in use"):
        table.add_column(heading, justify="right")
    for each in verdict.candidates:
        terms = each.fusion.terms.items()
        weights = ", ".join(f"{name} {term.weight:.2f}" for name, term in terms if term.weight)
        gain = ""
        if (pair := (each.name, CURRENT)) in verdict.differences:
            difference = verdict.differences[pair]
            low, mean, high = (
                100 * at for at in (difference.low, difference.mean, difference.high)
            )
            gain = f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
        table.add_row(each.name, weights, f"{each.mean:.4f}", gain)
    console.print(table)
    if verdict.chosen.name == CURRENT:
        console.print("[bold]Kept the profile in use[/]: nothing is measurably better.")
        if verdict.calibrated:
            console.print("Its calibration was fitted again: that fits unseen queries better.")
    else:
        console.print(f"[bold]Adopted {verdict.chosen.name}[/]: measurably better.")
    if (at := result.threshold) is not None:
        console.print(
            f"score_threshold [bold]{at.threshold:.4f}[/]: precision {at.precision:.3f} "
            f"({at.precision_low:.3f} to {at.precision_high:.3f}), recall {at.recall:.3f}; "
            f"keeps {at.kept} of {at.of} candidates, none for {at.emptied:.0%} of queries"
        )
    if result.no_threshold:
        console.print(f"[red]no threshold:[/] {escape(result.no_threshold)}")
    out.note(
        f"Profile: {profile} and its .npz; use it by RERANKER_PROFILE={profile} "
        "or by `profile` under [engine] in the config file."
    )
