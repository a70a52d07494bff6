"""The picture of a results file: a panel a workload, a bar a row, quartiles as whiskers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OWN, OTHERS, INK, GRID = "#c2570c", "#8895a7", "#1f2933", "#e5eaf0"


def write(whole: Mapping[str, Any], path: Path) -> None:
    """Draw all measured rows of a results file into a PNG; nothing where none was measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {
        name: (each, [row for row in each["rows"] if row["rate"]])
        for name, each in whole["workloads"].items()
    }
    panels = {name: pair for name, pair in panels.items() if pair[1]}
    if not panels:
        return
    heights = [0.8 + 0.28 * len(rows) for _, rows in panels.values()]
    figure = Figure(figsize=(9, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
    for axis, (found, rows) in zip(grid[:, 0], panels.values(), strict=True):
        _panel(axis, found, rows)
    figure.savefig(path, format="png", dpi=140, facecolor="white")


def _panel(axis: Axes, found: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> None:
    medians = [row["rate"]["median"] for row in rows]
    below = [row["rate"]["median"] - row["rate"]["low"] for row in rows]
    above = [row["rate"]["high"] - row["rate"]["median"] for row in rows]
    labels = [f"{row['name']} {row['dtype']}".strip() for row in rows]
    rivals = any(row["name"].startswith("reranker") for row in rows)
    colours = [OWN if row["name"].startswith("reranker") or not rivals else OTHERS for row in rows]
    places = range(len(rows))
    axis.barh(places, medians, color=colours, height=0.7)
    axis.errorbar(medians, places, xerr=[below, above], fmt="none", ecolor=INK, elinewidth=1)
    axis.set_yticks(list(places), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_title(found["title"], loc="left", fontsize=10, fontweight="bold", color=INK)
    axis.set_xlabel(found["unit"], fontsize=8)
    if max(medians) > 30 * min(medians):
        axis.set_xscale("log")
    axis.grid(axis="x", color=GRID)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
