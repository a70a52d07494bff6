"""A workload's table on a console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

EXTRAS = (
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("tflops", "TFLOP/s"),
    ("difference", "scores off by"),
    ("peak_mb", "peak MiB"),
    ("errors", "errors"),
)
_TITLE: Any = {"title_justify": "left", "title_style": "bold"}


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print a workload: a line a row, then the ratios.

    Args:
        found: a workload as kept in `speed.json`.
        console: where to.
    """
    extras = [pair for pair in EXTRAS if any(pair[0] in row["extra"] for row in found["rows"])]
    table = Table(title=found["title"], box=None, pad_edge=False, **_TITLE)
    table.add_column("", no_wrap=True)
    for heading in (found["unit"], "quartiles", *(heading for _, heading in extras)):
        table.add_column(heading, justify="right")
    reasons = []
    for row in found["rows"]:
        label = f"{row['name']} {row['dtype']}".strip()
        if row["rate"] is None:
            table.add_row(escape(label), f"[yellow]{row['state']}[/]")
            reasons.append(f"{label}: {row['state']}, {row['why']}")
            continue
        rate = row["rate"]
        cells = [number(row["extra"].get(key)) for key, _ in extras]
        quartiles = f"{number(rate['low'])}-{number(rate['high'])}"
        table.add_row(escape(label), number(rate["median"]), quartiles, *cells)
    console.print(table)
    for each in found["ratios"]:
        console.print(
            f"• {escape(each['row'])} is [bold]{each['median']:.2f}x[/] {escape(each['against'])} "
            f"({each['low']:.2f} to {each['high']:.2f})",
            highlight=False,
            soft_wrap=True,
        )
    for note in (*reasons, *found["notes"]):
        console.print(f"• {escape(note)}", soft_wrap=True)


def number(value: float | None) -> str:
    """Write a number with three significant digits, large ones whole."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
