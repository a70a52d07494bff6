"""The pictures of a report, by matplotlib: SVG for the page, PNG beside it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

COLOURS = ("#5b6b7f", "#c2570c", "#7c3aed", "#0f766e", "#b91c5c", "#1d4ed8", "#4d7c0f", "#92400e")
"""One a method, in order; distinguishable for people who see red and green alike."""

_INK, _FAINT, _GRID = "#1f2933", "#8895a7", "#e5eaf0"
_LINE = 12  # points between two names
_WIDE = 50  # from one end of an axis to the other, where powers of ten are labels enough
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "svg.fonttype": "path",
    "svg.hashsalt": "reranker",
}


@dataclass(frozen=True, slots=True)
class Point:
    """One method in the picture of accuracy against latency.

    Attributes:
        method: its name.
        value: mean nDCG@10.
        low: lower end of its interval.
        high: upper end.
        cold: p50 in seconds with nothing cached.
        warm: the same with the documents cached, or None.
    """

    method: str
    value: float
    low: float
    high: float
    cold: float
    warm: float | None = None


def pareto(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points that no other beats in both latency and value, quickest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda each: (each.cold, -each.value)):
        if not front or point.value > front[-1].value:
            front.append(point)
    return tuple(front)


def accuracy_latency(
    panels: Mapping[str, Sequence[Point]], colours: Mapping[str, str]
) -> tuple[str, Figure]:
    """Draw nDCG@10 against latency, one panel a data set, the Pareto front as a line."""
    with _style():
        figure, axes = _grid(len(panels), height=3.6)
        for axis, (name, points) in zip(axes, panels.items(), strict=True):
            _front_panel(axis, name, points, colours)
        axes[0].set_ylabel("nDCG@10")
        return _svg(figure), figure


def plot_gains(
    panels: Mapping[str, Mapping[str, NDArray[np.float64]]],
    baseline: str,
    colours: Mapping[str, str],
) -> tuple[str, Figure]:
    """Draw each query's gain over the baseline, sorted: a row a data set, a column a method.

    Args:
        panels: data set to method to (q,) differences of nDCG@10.
        baseline: the method they are differences to.
        colours: of the methods.
    """
    methods = list(next(iter(panels.values())))
    with _style():
        figure, grid = _subplots(len(panels), len(methods), 10.4 / len(methods), height=2.2)
        for row, (name, columns) in zip(grid, panels.items(), strict=True):
            reach = max(float(np.abs(values).max()) for values in columns.values())
            for axis, (method, values) in zip(row, columns.items(), strict=True):
                _gain_panel(axis, values, colours[method], reach=max(reach, 0.1))
            row[0].set_ylabel(f"{name}\ngain in nDCG@10")
        for axis, method in zip(grid[0], methods, strict=True):
            axis.set_title(f"{method} over {baseline}", color=colours[method])
        for axis in grid[-1]:
            axis.set_xlabel("queries, best gain first")
        return _svg(figure), figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure beside the report."""
    figure.savefig(path, format="png", dpi=160, facecolor="white")


def _front_panel(
    axis: Axes, name: str, points: Sequence[Point], colours: Mapping[str, str]
) -> None:
    front = pareto(points)
    axis.plot(
        [1000 * each.cold for each in front],
        [each.value for each in front],
        color=_FAINT,
        linewidth=6,
        alpha=0.3,
        solid_capstyle="round",
        zorder=1,
    )
    for point in points:
        colour, best = colours[point.method], point in front
        x = 1000 * point.cold
        axis.vlines(x, point.low, point.high, color=colour, linewidth=1.4, alpha=0.6, zorder=2)
        fill = colour if best else "white"
        axis.scatter([x], [point.value], s=80, color=fill, edgecolor=colour, linewidth=2, zorder=4)
        if point.warm is not None:
            warm = 1000 * point.warm
            axis.plot([warm, x], [point.value] * 2, color=colour, linewidth=1, ls=":", zorder=2)
            axis.scatter([warm], [point.value], s=22, color=colour, alpha=0.55, zorder=3)
    axis.set_title(name)
    axis.set_xscale("log")
    axis.set_xlabel("milliseconds a query (log)")
    axis.margins(x=0.22, y=0.14)
    axis.locator_params(axis="y", nbins=6)
    axis.grid(color=_GRID)
    _plain_ticks(axis)
    _label(axis, points, front, colours)


def _label(
    axis: Axes, points: Sequence[Point], front: Sequence[Point], colours: Mapping[str, str]
) -> None:
    """Name the points, from the lowest up, each name clear of the one below it.

    The quickest is named on its left, where nothing stands, the others on their right.
    """
    below = float("-inf")
    quickest = min(points, key=lambda each: each.cold)
    for point in sorted(points, key=lambda each: each.value):
        place = (1000 * point.cold, point.value)
        height = float(axis.transData.transform(place)[1]) * 72 / axis.figure.dpi
        below = max(height + 7, below + _LINE)
        axis.annotate(
            point.method,
            place,
            textcoords="offset points",
            xytext=(-8 if point is quickest else 8, below - height),
            ha="right" if point is quickest else "left",
            color=colours[point.method],
            fontweight="bold" if point in front else "normal",
        )


def _plain_ticks(axis: Axes) -> None:
    """Label a log axis with plain numbers, few enough to read."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_xlim()
    steps = (1.0,) if high > _WIDE * low else (1.0, 2.0, 5.0)
    axis.xaxis.set_major_locator(LogLocator(base=10, subs=steps, numticks=8))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _gain_panel(axis: Axes, values: NDArray[np.float64], colour: str, reach: float) -> None:
    ordered = np.sort(values)[::-1]
    shades = np.where(ordered >= 0, colour, "#b8c2ce")
    axis.bar(np.arange(len(ordered)), ordered, width=1.0, color=shades)
    axis.axhline(0, color=_INK, linewidth=0.8)
    axis.axhline(float(values.mean()), color=colour, linewidth=1.2, linestyle="--")
    axis.set_ylim(-1.1 * reach, 1.1 * reach)
    axis.set_xlim(-0.5, max(len(ordered) - 0.5, 0.5))
    axis.grid(axis="y", color=_GRID)
    axis.set_axisbelow(True)


def _grid(count: int, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(count, 3)
    rows = -(-count // columns)
    figure, grid = _subplots(rows, columns, width=10.4 / columns, height=height)
    axes = [axis for row in grid for axis in row]
    for axis in axes[count:]:
        axis.set_axis_off()
    return figure, axes[:count]


def _subplots(rows: int, columns: int, width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(
        file,
        format="svg",
        transparent=True,
        metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
    )
    text = file.getvalue()
    return text[text.index("<svg") :]


def _style() -> AbstractContextManager[None]:
    import matplotlib

    settings: Any = _STYLE  # typed there by the names of all settings
    return matplotlib.rc_context(settings)
