"""What a faster number format costs: ``python -m reranker_bench.parity --help``.

Ranks the same queries with float32 and with another format, and prints nDCG@10 of both for each
collection and method, with their difference in points.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from reranker.engine import Reranker
from reranker.settings import Settings
from reranker_bench import datasets, quality
from reranker_bench.environment import machine
from reranker_bench.pools import spaced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reranker_bench.datasets import RetrievalSet

Dtype = Literal["float32", "bfloat16", "float16"]
BOUND = 0.5  # points of nDCG@10 that a faster format may cost


def gains(
    source: RetrievalSet, queries: Sequence[str], method: str, dtype: Dtype
) -> dict[str, float]:
    """Return nDCG@10 of each query by a method whose models run in a number format."""
    engine = Reranker(Settings.load(dtype=dtype, offline=True))
    ranked = {}
    for query in queries:
        pool = source.candidates[query]
        ranking = engine.rank(
            source.queries[query],
            [source.corpus[d] for d in pool],
            method=method,
            model_cross="minilm-l6-cross-encoder" if method == "best" else None,
            stage1_top_k=len(pool),
        )
        ranked[query] = [pool[result.index] for result in ranking]
    engine.close()
    grades = {query: source.qrels[query] for query in queries}
    return quality.per_query(grades, quality.run_of(ranked))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 1 where a format costs more than the bound."""
    parser = argparse.ArgumentParser(description="Compare number formats by nDCG@10.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--sets", nargs="+", default=["cranfield", "cisi", "wikiqa-test"])
    parser.add_argument("--methods", nargs="+", default=["fast", "standard", "best"])
    parser.add_argument("--queries", type=int, default=25, help="of each collection")
    parser.add_argument("--dtype", choices=["bfloat16", "float16"], default="bfloat16")
    options = parser.parse_args(arguments)
    say(f"{machine()['processor']}; {options.queries} queries a collection\n")
    say(f"| set | method | float32 | {options.dtype} | points | worst query |\n" + "|---" * 6 + "|")
    worst = 0.0
    for name in options.sets:
        source = datasets.load(options.data / name)
        queries = list(
            spaced([q for q in source.judged_queries() if q in source.candidates], options.queries)
        )
        for method in options.methods:
            exact, fast = (
                gains(source, queries, method, cast("Dtype", dtype))
                for dtype in ("float32", options.dtype)
            )
            lost = [100 * (fast[query] - exact[query]) for query in queries]
            say(
                f"| {name} | `{method}` | {quality.mean(exact):.4f} | {quality.mean(fast):.4f} "
                f"| {np.mean(lost):+.2f} | {min(lost):+.1f} |"
            )
            worst = max(worst, abs(float(np.mean(lost))))
    say(f"\nLargest difference: {worst:.2f} points; the bound is {BOUND}.")
    return int(worst > BOUND)


def say(line: str) -> None:
    """Write one line to standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
