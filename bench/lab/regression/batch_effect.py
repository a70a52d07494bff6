"""How far a score moves with the other documents of its request.

A score depends on query and document alone, up to rounding: a batch of other lengths is padded and
multiplied in other blocks. Each document is scored alone and in the company of all others, and the
largest difference of the public scores is printed by dtype and method.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.regression.pools import Pool, read_pools, sample_folder
from reranker import Reranker, Settings

DTYPES = ("float32", "bfloat16", "int8")
METHODS = ("fast", "standard")


def largest_move(engine: Reranker, method: str, pools: Sequence[Pool]) -> float:
    """Return the largest difference between a score alone and in company."""
    cross = engine.settings.model_cross
    largest = 0.0
    for pool in pools:
        query, documents = pool.query, pool.documents
        together = engine.rank(query, documents, method=method, model_cross=cross)
        for result in together:
            alone = engine.rank(query, [documents[result.index]], method=method, model_cross=cross)
            largest = max(largest, abs(alone[0].score - result.score))
    return largest


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, help="BEIR folder; the sample collection if absent")
    options.add_argument("--queries", type=int, default=5)
    options.add_argument("--documents", type=int, default=30)
    options.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    chosen = options.parse_args()
    pools = read_pools(chosen.data or sample_folder(), chosen.queries, chosen.documents)
    for dtype in chosen.dtypes:
        settings = Settings.load(dtype=dtype, cache_mb=0, offline=True)
        with Reranker(settings) as engine:
            engine.warm()
            for method in METHODS:
                move = largest_move(engine, method, pools)
                sys.stdout.write(f"{dtype:9} {method:9} {move:.2g}\n")


if __name__ == "__main__":
    main()
