"""The report as one page that needs nothing beside it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reranker_bench.evaluation.measures import MEASURES, NDCG_AT_10
from reranker_bench.evaluation.outcomes import ALL
from reranker_bench.report import plots
from reranker_bench.report.advice import RISK, p_text
from reranker_bench.report.examples import QueryExample, extremes
from reranker_bench.report.plots import Point

if TYPE_CHECKING:
    from markupsafe import Markup

    from reranker_bench.report.report import Report

MEANINGS = {
    "nDCG@10": "how good the first ten are, by grade and rank",
    "AP": "average precision over the whole list",
    "RR@10": "one over the rank of the first relevant document",
    "R@5": "share of the relevant documents in the first five",
    "P@1": "how often the first document is relevant",
}
_STOPWORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be by can do does for from has have how i if in is it its may must no "
        "not of on or that the their there these this to was were what when where which who why "
        "will with you your",
    )
)


def write_page(report: Report, folder: Path) -> Path:
    """Write `report.html` with its pictures inside, and each picture as a PNG beside it.

    Returns:
        the page's path.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters.update(
        code=_code, marked=marked, p=p_text, duration=_duration, points=_points, number=_number
    )
    template = files("reranker_bench").joinpath("report/templates/report.html").read_text("utf-8")
    colours = dict(zip(report.methods, _cycled(), strict=False))
    page = environment.from_string(template).render(
        data=report.data,
        methods=report.methods,
        colours=colours,
        measures=MEASURES,
        primary=NDCG_AT_10,
        meanings=MEANINGS,
        everything=ALL,
        risk=RISK,
        pictures=_pictures(report, colours, folder),
        examples=_examples(report),
        status_lines=_status(report.data),
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def points(data: Mapping[str, Any], methods: tuple[str, ...]) -> dict[str, list[Point]]:
    """Return data set to the methods whose cold latency is known, as points of the picture."""
    found: dict[str, list[Point]] = {}
    for name, values in data["datasets"].items():
        for method in methods:
            entry = values[method]
            cold, warm = (entry["latency"].get(state) for state in ("cold", "warm"))
            if cold is not None:
                low, high = entry["intervals"][NDCG_AT_10]
                found.setdefault(name, []).append(
                    Point(
                        method,
                        entry[NDCG_AT_10],
                        low,
                        high,
                        cold["p50"],
                        warm["p50"] if warm else None,
                    )
                )
    return found


def _pictures(report: Report, colours: Mapping[str, str], folder: Path) -> dict[str, Markup]:
    from markupsafe import Markup

    drawn = {}
    panels = points(report.data, report.methods)
    if panels:
        drawn["accuracy_latency"] = plots.accuracy_latency(panels, colours)
    baseline, *others = report.methods
    if others and report.outcomes:
        differences = {
            each.collection.name: {m: each.column(m) - each.column(baseline) for m in others}
            for each in report.outcomes
        }
        drawn["gains"] = plots.plot_gains(differences, baseline, colours)
    for name, (_, figure) in drawn.items():
        plots.save_png(figure, folder / f"{name}.png")
    return {name: Markup(svg) for name, (svg, _) in drawn.items()}  # our own drawing


def _examples(report: Report) -> dict[str, dict[str, list[QueryExample]]]:
    baseline, *others = report.methods
    return {
        each.collection.name: {method: extremes(each, method, baseline) for method in others}
        for each in report.outcomes
    }


def _status(data: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, found in data["collections"].items():
        if found["evaluated"] < found["queries"]:
            lines.append(
                f"{name}: {found['evaluated']} of {found['queries']} queries are done; "
                "the numbers are over those."
            )
    if failures := data["failures"]:
        lines.append(f"{len(failures)} rankings failed and count 0; they are listed below.")
    return lines


def _cycled() -> Iterator[str]:
    while True:
        yield from plots.COLOURS


def _code(sentence: str) -> Markup:
    """Turn `name` into code."""
    from markupsafe import Markup

    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(sentence)))


def marked(text: str, query: str) -> Markup:
    """Mark the query's words in a text."""
    from markupsafe import Markup

    query_words = {word for word in re.findall(r"\w+", query.lower()) if word not in _STOPWORDS}
    parts = (
        f"<mark>{html.escape(part)}</mark>" if part.lower() in query_words else html.escape(part)
        for part in re.split(r"(\w+)", text)
    )
    return Markup("".join(parts))  # every part is escaped


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.1f} ms"


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "\N{MINUS SIGN}")


def _number(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
