"""Measure an exported overlay: ``python -m lab.training.evaluate --help``.

Prints nDCG@10 of every collection for the order of its candidates file, the bi-encoder's cosine,
soft late interaction, the cross-encoder, and standardised sums of them, with 95 % bootstrap
intervals for the cross-encoder and its paired difference to the cosine.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lab.training import scoring
from lab.training.export import read_overlay
from reranker_bench.data.beir import load_beir
from reranker_bench.evaluation import measures as quality

WEIGHTS = (0.5, 1.0, 2.0)
"""Weights of the cross-encoder tried beside cosine and late interaction at 1 each."""


def evaluate(
    folder: Path, overlay: Path, max_tokens: int, max_queries: int | None = None
) -> dict[str, dict[str, float]]:
    """Return, for one collection, each scoring's nDCG@10 per query.

    Args:
        folder: The collection.
        overlay: The folder of the overlay.
        max_tokens: Where documents are cut.
        max_queries: Measure on a seeded sample of this many judged queries.
    """
    source = scoring.sample(load_beir(folder), max_queries)
    texts = scoring.texts_of(source, max_tokens)
    raw = scoring.bi_scores(source, texts)
    raw["cross"] = scoring.cross_scores(read_overlay(overlay), source, texts)
    unit = scoring.standardised(raw)
    tables = {"order": scoring.order_scores(source, texts.queries), **raw}
    tables["cos+att"] = scoring.weighted(unit, {"cosine": 1, "attention": 1})
    tables["cos+cross"] = scoring.weighted(unit, {"cosine": 1, "cross": 1})
    for weight in WEIGHTS:
        shares = {"cosine": 1.0, "attention": 1.0, "cross": weight}
        tables[f"all w={weight:g}"] = scoring.weighted(unit, shares)
    return {name: scoring.ndcg_by_query(source, scores) for name, scores in tables.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = {}
    for name in options.sets:
        gains = evaluate(
            options.data / name, options.overlay, options.max_tokens, options.max_queries
        )
        rows[name] = {method: quality.mean(values) for method, values in gains.items()}
        low, high = scoring.interval(list(gains["cross"].values()))
        pairs = [gains["cross"][q] - gains["cosine"][q] for q in gains["cross"]]
        below, above = scoring.interval(pairs)
        cells = " ".join(f"{method} {value:.3f}" for method, value in rows[name].items())
        _say(f"{name} ({len(pairs)} queries): {cells}")
        _say(
            f"  cross [{low:.3f}, {high:.3f}]; cross - cosine {np.mean(pairs):+.3f} "
            f"[{below:+.3f}, {above:+.3f}]"
        )
    methods = next(iter(rows.values()))
    means = {m: float(np.mean([row[m] for row in rows.values()])) for m in methods}
    _say("mean: " + " ".join(f"{method} {value:.3f}" for method, value in means.items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure an exported cross-encoder.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--overlay", type=Path, required=True, help="folder of the overlay")
    parser.add_argument("--sets", nargs="+", required=True, help="collections to measure on")
    parser.add_argument("--max-tokens", type=int, default=256, help="where documents are cut")
    parser.add_argument("--max-queries", type=int, help="measure on a seeded sample of queries")
    parser.add_argument("--threads", type=int, help="threads of the tensor library")
    parser.add_argument("--json", type=Path, help="also write the means there")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
