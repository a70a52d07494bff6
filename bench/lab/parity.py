"""What faster execution variants cost in quality: ``python -m lab.parity --help``.

Ranks the same queries in float32 and in other variants, and prints nDCG@10 of both for each
collection and method, with their difference in points.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reranker.engine import Reranker
from reranker.settings import Settings
from reranker_bench.data.beir import load_beir
from reranker_bench.data.candidate_pools import spaced
from reranker_bench.environment import machine
from reranker_bench.evaluation import measures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reranker_bench.data.beir import RetrievalSet

BI, CROSS = "all-MiniLM-L6-v2", "minilm-l6-cross-encoder"
EXACT = "float32"
VARIANTS: dict[str, dict[str, Any]] = {
    EXACT: {"dtype": "float32", "backend": "torch"},
    "bfloat16": {"dtype": "bfloat16", "backend": "torch"},
    "float16": {"dtype": "float16", "backend": "torch"},
    "int8": {"dtype": "int8", "backend": "openvino"},
}
METHODS = {"fast": None, "standard": CROSS, "best": CROSS}
BOUND = 0.5  # points of nDCG@10 that a variant may be off, up or down
CACHE_MB = 512  # so that `best` takes from `standard` what both need


def ndcg_by_query(
    engine: Reranker, source: RetrievalSet, queries: Sequence[str], method: str
) -> dict[str, float]:
    """Return nDCG@10 of each query by a method."""
    ranked = {}
    for query in queries:
        pool = source.candidates[query]
        ranking = engine.rank(
            source.queries[query],
            [source.corpus[d] for d in pool],
            method=method,
            model_cross=METHODS[method],
            stage1_top_k=len(pool),
        )
        ranked[query] = [pool[result.index] for result in ranking]
    grades = {query: source.qrels[query] for query in queries}
    return measures.per_query(grades, measures.run_of(ranked))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 1 where a variant is off by more than the bound."""
    options = _parser().parse_args(arguments)
    show(f"{machine()['processor']}; {options.queries} queries a collection\n")
    show(
        "| set | method | variant | float32 | this variant | points | worst query |\n"
        + "|---" * 7
        + "|"
    )
    with ExitStack() as stack:
        engines = {
            variant: stack.enter_context(
                Reranker(Settings.load(offline=True, cache_mb=CACHE_MB, **VARIANTS[variant]))
            )
            for variant in (EXACT, *options.variants)
        }
        worst = max(
            compare(engines, load_beir(options.data / name), options.methods, options.queries)
            for name in options.sets
        )
        for variant, engine in engines.items():
            ran = ", ".join(f"{m.id} {m.backend} {m.dtype}" for m in engine.models.loaded())
            show(f"\n{variant}: {ran}.")
    show(f"\nLargest difference: {worst:.2f} points; the bound is {BOUND}.")
    return int(worst > BOUND)


def compare(
    engines: Mapping[str, Reranker], source: RetrievalSet, methods: Sequence[str], limit: int
) -> float:
    """Print a collection's rows; return the largest difference in points."""
    judged = [q for q in source.judged_queries() if q in source.candidates]
    queries, worst = list(spaced(judged, limit)), 0.0
    for method in methods:
        found = {
            variant: ndcg_by_query(engine, source, queries, method)
            for variant, engine in engines.items()
        }
        exact = found.pop(EXACT)
        for variant, after in found.items():
            lost = [100 * (after[query] - exact[query]) for query in queries]
            show(
                f"| {source.name} | `{method}` | {variant} | {measures.mean(exact):.4f} "
                f"| {measures.mean(after):.4f} | {np.mean(lost):+.2f} | {min(lost):+.1f} |"
            )
            worst = max(worst, abs(float(np.mean(lost))))
    return worst


def show(line: str) -> None:
    """Write one line to standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare execution variants by nDCG@10.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--sets", nargs="+", default=["cranfield", "cisi", "wikiqa-test"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--variants", nargs="+", choices=list(VARIANTS)[1:], default=["bfloat16", "int8"]
    )
    parser.add_argument("--queries", type=int, default=25, help="of each collection")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
