"""Tables for the documents, between markers, from the committed results.

`<!-- speed: short -->` ... `<!-- end -->` holds the base install against the fastest other library
of the same dtype, `full` every row of every workload.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.peers.environments import OWN, PEERS
from lab.speed import results
from lab.speed.table import EXTRAS, number

RESULTS = Path(__file__).parents[2] / "results"
"""Of a checkout: where results are committed."""

_MARKED = re.compile(r"<!-- speed: (\w+) -->\n.*?<!-- end -->", re.S)
_LEVEL = "32 clients"


def fill(text: str, folder: Path = RESULTS) -> str:
    """Return a document with its marked tables written again.

    Raises:
        ResultsError: a results file cannot be read.
        KeyError: a marker names no table.
    """
    tables = {"short": _short, "full": _full}

    def write(match: re.Match[str]) -> str:
        return f"<!-- speed: {match[1]} -->\n{tables[match[1]](folder)}\n<!-- end -->"

    return _MARKED.sub(write, text)


def _short(folder: Path) -> str:
    found = results.read(folder / results.FILE)["workloads"]
    lines = ["| workload | reranker | fastest other | | times |", "|---|---|---|---|---|"]
    for workload in found.values():
        rows = {_label(row): row for row in workload["rows"]}
        for each in _against_the_fastest(workload["ratios"], rows):
            own, other = rows[each["row"]], rows[each["against"]]
            lines.append(
                f"| {workload['title']}, {own['dtype']} | {_rate(own, workload)} "
                f"| {other['name']}{_version(other)} | {_rate(other, workload)} "
                f"| **{each['median']:.2f}** ({each['low']:.2f} to {each['high']:.2f}) |"
            )
    return "\n".join(lines) if found else "Not measured yet."


def _against_the_fastest(
    ratios: Sequence[Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the ratio of each row of the base install to the fastest peer of its dtype.

    Of the servers one level of load is taken.
    """

    def rate(each: Mapping[str, Any]) -> float:
        return float(rows[each["against"]]["rate"]["median"])

    fastest: dict[str, Mapping[str, Any]] = {}
    for each in ratios:
        own, other = rows[each["row"]], rows[each["against"]]
        if (
            own["name"].split(" ")[0] == OWN.name
            and _of_others(other["name"])
            and own["dtype"] == other["dtype"]
            and ("client" not in own["name"] or _LEVEL in own["name"])
        ):
            fastest[each["row"]] = max(fastest.get(each["row"], each), each, key=rate)
    return list(fastest.values())


def _of_others(label: str) -> bool:
    return any(label.startswith(peer.name) for peer in PEERS)


def _full(folder: Path) -> str:
    found = results.read(folder / results.FILE)["workloads"]
    parts = []
    for workload in found.values():
        extras = [e for e in EXTRAS if any(e[0] in row["extra"] for row in workload["rows"])]
        heads = (workload["title"], workload["unit"], "quartiles", *(name for _, name in extras))
        lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for row in workload["rows"]:
            rate = row["rate"]
            cells = [_label(row) + _version(row)]
            if rate is None:
                cells += [row["state"], row["why"] or ""]
            else:
                cells += [
                    number(rate["median"]),
                    f"{number(rate['low'])} to {number(rate['high'])}",
                ]
                cells += [number(row["extra"].get(key)) for key, _ in extras]
            lines.append(f"| {' | '.join(cells + [''] * (len(heads) - len(cells)))} |")
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, *_machines(found)]) if parts else "Not measured yet."


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['name']} {row['dtype']}".strip()


def _rate(row: Mapping[str, Any], workload: Mapping[str, Any]) -> str:
    return f"{number(row['rate']['median'])} {workload['unit']}"


def _version(row: Mapping[str, Any]) -> str:
    """Return the version of the library that a row is named after."""
    version = {k.lower(): v for k, v in row["versions"].items()}.get(row["name"].lower())
    return f" ({version})" if version and row["name"] != "reranker" else ""


def _machines(found: Mapping[str, Any]) -> list[str]:
    """Say on what, and how; once where it was the same for all workloads."""
    sentences = [
        f"{_machine(each['machine'])}, {each['settings']['threads']} threads, medians of "
        f"{each['settings']['repeats']} interleaved repeats with quartiles: `{each['command']}`."
        for each in found.values()
    ]
    return list(dict.fromkeys(sentences))


def _machine(machine: Mapping[str, Any]) -> str:
    flags = ", ".join(machine["flags"]) or "no matrix flags"
    return f"{machine['processor']}, {machine['cores']} cores ({flags})"
