"""Tables for the documents, between markers, from the committed results.

`<!-- speed: short -->` ... `<!-- end -->` holds the table of a README, `full` every row of
every workload.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.peers.environments import OWN, PEERS
from lab.speed import results
from lab.speed.table import EXTRAS, number
from lab.speed.workloads.encoders import NAIVE
from lab.speed.workloads.serving import WARM

RESULTS = Path(__file__).parents[2] / "results"
"""Of a checkout: where results are committed."""

_MARKED = re.compile(r"<!-- speed: (\w+) -->\n.*?<!-- end -->", re.S)
_LEVEL = "32 clients"
_OWN = {
    ("fast, warm", "fast, cold"),
    ("best, cold", "fast, cold"),
    ("best, warm", "best, cold"),
    (f"{OWN.name} {WARM}, {_LEVEL}", f"{OWN.name} {WARM}, 1 client"),
    ("fast, 10,000 documents", "fast, 100 documents"),
}


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
    lines = ["| workload | ours | against | | times |", "|---|---|---|---|---|"]
    for workload in found.values():
        rows = {_label(row): row for row in workload["rows"]}
        for each in workload["ratios"]:
            if _headline(each, rows):
                own, other = rows[each["row"]], rows[each["against"]]
                lines.append(
                    f"| {workload['title']} | {each['row']}: {_rate(own, workload)} "
                    f"| {each['against']}{_version(other)} | {_rate(other, workload)} "
                    f"| **{each['median']:.2f}** ({each['low']:.2f} to {each['high']:.2f}) |"
                )
    return "\n".join([*lines, "", *_machines(found)]) if found else "Not measured yet."


def _headline(each: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a ratio belongs in the short table.

    The library as users call it against what a user of ours gets; any other library against
    ours in its own dtype; of the servers one level of load; of ours against ours what
    is of interest by itself.
    """
    if _of_others(each["row"]):
        return False
    if not _of_others(each["against"]):
        return (each["row"], each["against"]) in _OWN
    if "client" in each["row"]:
        return _LEVEL in each["row"]
    own, other = rows[each["row"]], rows[each["against"]]
    return bool(each["against"] == NAIVE or own["dtype"] == other["dtype"])


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
