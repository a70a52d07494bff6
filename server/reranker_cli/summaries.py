"""What the commands say at their end, on a console."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from reranker_bench.evaluation.measures import MEASURES
from reranker_bench.tuning.tune import CURRENT

if TYPE_CHECKING:
    from rich.console import Console

    from reranker_bench.report.report import Report
    from reranker_bench.tuning.experiment import TuningResult

_FAILURES = 10


def compared(report: Report, output: Path, console: Console) -> None:
    """Show the numbers, the advice, what failed, and where the report is."""
    for name, found in report.data["datasets"].items():
        table = Table(title=name, title_justify="left", title_style="bold")
        table.add_column("method")
        for heading in (*MEASURES, "cold p50", "warm p50"):
            table.add_column(heading, justify="right")
        for method in report.methods:
            values = found[method]
            times = (values["latency"].get(state) for state in ("cold", "warm"))
            shown = [f"{1000 * each['p50']:,.0f} ms" if each else "" for each in times]
            table.add_row(method, *(f"{values[m]:.4f}" for m in MEASURES), *shown)
        console.print(table)
    for sentences in (*report.data["advice"].values(), report.data["notes"]):
        for sentence in sentences:
            console.print(f"• {escape(sentence)}", soft_wrap=True)
    failures = report.data["failures"]
    for failure in failures[:_FAILURES]:
        where = f"{failure['dataset']}, query {failure['query']}, {failure['method']}"
        console.print(
            f"[red]failed:[/] {escape(where)}: {escape(failure['error'])}", soft_wrap=True
        )
    if len(failures) > _FAILURES:
        console.print(f"[red]and {len(failures) - _FAILURES} more[/], see report.json")
    console.print(f"Report: [bold]{output / 'report.html'}[/]", soft_wrap=True)


def tuned(result: TuningResult, output: Path, console: Console) -> None:
    """Show the competition, what was adopted, the threshold, and how to use the profile."""
    verdict = result.verdict
    table = Table("fusion", "weights", title="judged on queries it was not fitted on")
    for heading in ("nDCG@10", "gain over the profile in use"):
        table.add_column(heading, justify="right")
    for each in verdict.candidates:
        terms = each.fusion.terms.items()
        weights = ", ".join(f"{name} {term.weight:.2f}" for name, term in terms if term.weight)
        gain = ""
        if (pair := (each.name, CURRENT)) in verdict.differences:
            found = verdict.differences[pair]
            gain = f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
        table.add_row(each.name, weights, f"{each.mean:.4f}", gain)
    console.print(table)
    if verdict.chosen.name == CURRENT:
        console.print("[bold]Kept the profile in use[/]: nothing is measurably better.")
        if verdict.calibrated:
            console.print("Its calibration was fitted anew, which fits unseen queries better.")
    else:
        console.print(f"[bold]Adopted {verdict.chosen.name}[/]: measurably better.")
    if (at := result.threshold) is not None:
        console.print(
            f"score_threshold [bold]{at.threshold:.4f}[/]: precision {at.precision:.3f} "
            f"({at.precision_low:.3f} to {at.precision_high:.3f}), recall {at.recall:.3f}; "
            f"keeps {at.kept} of {at.of} candidates, none for {at.emptied:.0%} of queries",
            soft_wrap=True,
        )
    if result.no_threshold:
        console.print(f"[red]no threshold:[/] {escape(result.no_threshold)}", soft_wrap=True)
    console.print(
        f"Profile: [bold]{output}[/] and its .npz; use it by RERANKER_PROFILE={output} "
        "or by `profile` under \\[engine] in the config file.",
        soft_wrap=True,
    )
