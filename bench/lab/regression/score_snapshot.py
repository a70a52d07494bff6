"""Keep the scores of fixed queries, and compare two such snapshots.

    python -m lab.regression.score_snapshot write before.json.gz
    python -m lab.regression.score_snapshot write after.json.gz  # with another checkout's Python
    python -m lab.regression.score_snapshot compare before.json.gz after.json.gz

`write` ranks by each method, in float32 on the CPU with autotuning off: the sample collection, the
first pools of some BEIR collections, and odd texts; each without a cache and with a warm one. No
text is kept, only a digest of all.

`compare` exits with 1 where a score differs by more than the tolerance, where two documents whose
scores differ by more than it have changed places, or where truncation, an error or a case differs.
Differences of usage are listed, and do not fail.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lab.regression.engine_settings import engine_values, note, say
from lab.regression.pools import DATA, Pool, collections, digest_of, sample_folder

WARM_CACHE_MB = 512
Case = dict[str, Any]


def methods(model_cross: str) -> dict[str, dict[str, Any]]:
    """Return the arguments of `Reranker.rank` by the name of the case."""
    return {
        "fast": {"method": "fast"},
        "standard": {"method": "standard"},
        "optimal": {"method": "optimal", "stage1_top_k": 20},
        "best": {"method": "best"},
        "best+cross": {"method": "best", "model_cross": model_cross},
        "standard, cut": {"method": "standard", "max_tokens_per_doc": 24, "top_n": 10},
        "best, cut": {"method": "best", "max_tokens_per_doc": 24, "top_n": 10},
    }


def rank(engine: Any, pool: Pool, arguments: dict[str, Any]) -> Case:
    """Return what one ranking says, or the name of its error."""
    try:
        ranking = engine.rank(pool.query, pool.documents, **arguments)
    except Exception as error:
        return {"error": type(error).__name__}
    usage = ranking.usage
    return {
        "indices": [result.index for result in ranking],
        "scores": [float(result.score) for result in ranking],
        "usage": [usage.query_tokens, usage.document_tokens, usage.cached],
        "truncated": [int(index) for index in ranking.truncated],
        "query_truncated": bool(ranking.query_truncated),
    }


def cases(sets: dict[str, list[Pool]], threads: int) -> Iterator[tuple[str, Case]]:
    """Yield all cases by key: collection, method, cache and query."""
    from reranker import Reranker, Settings

    for cache, size in (("cold", 0), ("warm", WARM_CACHE_MB)):
        with Reranker(Settings(**engine_values("float32", threads, size))) as engine:
            for name, pools in sets.items():
                start = time.perf_counter()
                for label, arguments in methods(engine.settings.model_cross).items():
                    if "cut" in label and name not in ("odd", "cranfield"):
                        continue
                    for pool in pools:
                        if cache == "warm":
                            rank(engine, pool, arguments)
                        key = f"{name}|{label}|{cache}|{pool.query_id}"
                        yield key, rank(engine, pool, arguments)
                note(f"{name}, {cache}: {time.perf_counter() - start:.1f} s")


def write(options: argparse.Namespace) -> int:
    """Rank everything and write the file."""
    import reranker

    shipped = options.sample or sample_folder()
    sets = collections(shipped, options.data, options.queries, options.depth)
    found = dict(cases(sets, options.threads))
    snapshot = {
        "package": str(Path(reranker.__file__).parent),
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
        "settings": engine_values("float32", options.threads, 0),
        "digests": {name: digest_of(pools) for name, pools in sets.items()},
        "cases": found,
    }
    with gzip.open(options.file, "wt", encoding="utf-8") as file:
        json.dump(snapshot, file)
    say(f"{len(found)} cases of {len(sets)} collections from {snapshot['package']}")
    return 0


def read(path: Path) -> Any:
    """Read a snapshot."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


@dataclass(slots=True)
class Row:
    """What one method's cases over one collection come to.

    Attributes:
        score: the largest difference of a document's score.
        swapped: places held by another document of the same score within the tolerance.
        faults: cases that differ in more, each with the reason.
        usage: cases whose usage differs.
    """

    cases: int = 0
    score: float = 0.0
    swapped: int = 0
    faults: list[str] = field(default_factory=list)
    usage: list[str] = field(default_factory=list)

    def add(self, key: str, old: Case, new: Case, tolerance: float) -> None:
        """Compare one case."""
        self.cases += 1
        same = ("error", "truncated", "query_truncated")
        self.faults += [f"{key}: {name}" for name in same if old.get(name) != new.get(name)]
        if "error" in old or "error" in new:
            return
        if old["usage"] != new["usage"]:
            self.usage.append(f"{key}: {old['usage']} -> {new['usage']}")
        before = dict(zip(old["indices"], old["scores"], strict=True))
        after = dict(zip(new["indices"], new["scores"], strict=True))
        if before.keys() != after.keys():
            self.faults.append(f"{key}: other documents")
            return
        largest = max((abs(before[i] - after[i]) for i in before), default=0.0)
        self.score = max(self.score, largest)
        if not largest <= tolerance:
            self.faults.append(f"{key}: a score differs by {largest:.3g}")
        moved = [(i, j) for i, j in zip(old["indices"], new["indices"], strict=True) if i != j]
        self.swapped += len(moved)
        if any(abs(before[i] - before[j]) > tolerance for i, j in moved):
            self.faults.append(f"{key}: order")


def compare(options: argparse.Namespace) -> int:
    """Print the differences of two snapshots; return 1 if they are too large."""
    old, new = read(options.before), read(options.after)
    before, after = old["cases"], new["cases"]
    unlike = dict(old["digests"].items() ^ new["digests"].items())
    faults = [f"{name}: other texts, or none in one of the two" for name in sorted(unlike)]
    faults += [f"{key}: in one of the two only" for key in sorted(before.keys() ^ after.keys())]
    rows: dict[str, Row] = {}
    for key in (key for key in before if key in after):
        row = rows.setdefault(key.rpartition("|")[0], Row())
        row.add(key, before[key], after[key], options.tolerance)
    say(f"{'collection, method, cache':44} {'cases':>5} {'largest':>9} swapped faults usage")
    for name, row in rows.items():
        counts = f"{row.swapped:7} {len(row.faults):6} {len(row.usage):5}"
        say(f"{name.replace('|', ', '):44} {row.cases:5} {row.score:9.2e} {counts}")
        faults += row.faults
    usage = [line for row in rows.values() for line in row.usage]
    for title, lines in (("usage differs (no fault)", usage), ("faults", faults)):
        say("\n  ".join([f"{title}: {len(lines)}", *lines[: options.show]]))
    return 1 if faults else 0


def main() -> int:
    """Run the command."""
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("write", help="rank, and write a snapshot")
    one.add_argument("file", type=Path, help="gzipped JSON to write")
    one.add_argument("--sample", type=Path, help="the sample collection; by default the shipped")
    one.add_argument("--data", type=Path, default=DATA, help=f"BEIR collections ({DATA})")
    one.add_argument("--queries", type=int, default=2, help="of each of them (2)")
    one.add_argument("--depth", type=int, default=30, help="documents a query (30)")
    one.add_argument("--threads", type=int, default=2, help="of the CPU (2)")
    one.set_defaults(run=write)
    two = commands.add_parser("compare", help="compare two snapshots")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    two.add_argument("--tolerance", type=float, default=1e-6, help="of a score (1e-6)")
    two.add_argument("--show", type=int, default=20, help="most lines of a list (20)")
    two.set_defaults(run=compare)
    options = parser.parse_args()
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
