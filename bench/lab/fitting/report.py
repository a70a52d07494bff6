"""The tables that the fitting command prints."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from lab.fitting import ablation
from reranker.pipeline.fusion import reciprocal_rank_fusion
from reranker_bench.evaluation import measures
from reranker_bench.tuning.weights import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from reranker.pipeline.fusion import WeightedSum
    from reranker_bench.tuning.features import Table

    AddLine = Callable[[str], None]

RANKED = ("cosine", "attention", "cross_encoder")
EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def show(
    add: AddLine,
    title: str,
    training: Sequence[Table],
    reported: Sequence[Table],
    term_sets: Sequence[tuple[str, ...]],
    pull: float,
) -> None:
    """Print nDCG@10 of every set of terms, on each training collection and each reported one.

    Training collections are scored by weights fitted on the others, the rest by weights fitted
    on all of them, which the last column shows.
    """
    add(f"\n## {title}: nDCG@10, pull {pull}\n")
    names = [table.sample.name for table in (*training, *reported)]
    header = [*names[: len(training)], "mean", *names[len(training) :], "mean", "weights"]
    add("| terms | " + " | ".join(header) + " |")
    add("|---" * (len(header) + 1) + "|")
    for terms in term_sets:
        inside = [
            measures.mean(values) for values in ablation.left_out(training, terms, pull).values()
        ]
        fusion = fit(training, terms, pull)
        outside = [measures.mean(ablation.ndcg_of(fusion, table)) for table in reported]
        _row(add, " + ".join(terms), inside, outside, fusion)
    known = reported[0].values if reported else training[0].values
    ranked = tuple(name for name in RANKED if name in known)
    inside, outside = _rrf(training, ranked), _rrf(reported, ranked)
    _row(add, f"RRF of {' + '.join(ranked)}", inside, outside)


def _row(
    add: AddLine,
    name: str,
    inside: list[float],
    outside: list[float],
    fusion: WeightedSum | None = None,
) -> None:
    cells = [f"{value:.3f}" for value in (*inside, np.mean(inside), *outside, np.mean(outside))]
    weights = "" if fusion is None else " ".join(f"{t.weight:.2f}" for t in fusion.terms.values())
    add("| " + " | ".join([name, *cells, weights]) + " |")


def _rrf(tables: Sequence[Table], names: Sequence[str]) -> list[float]:
    means = []
    for table in tables:
        pairs = zip(table.offsets[:-1], table.offsets[1:], strict=True)
        fused = [
            reciprocal_rank_fusion([table.values[name][a:b] for name in names]) for a, b in pairs
        ]
        means.append(measures.mean(table.ndcg(np.concatenate(fused))))
    return means


def reliability(
    add: AddLine,
    title: str,
    logits: Callable[[Table], NDArray[np.float64]],
    training: Sequence[Table],
    reported: Sequence[Table],
) -> None:
    """Print how often a candidate with a score in each band is relevant, and how far off that is.

    The last row is the expected calibration error: the distance between a band's mean score
    and its share of relevant candidates, weighted by the candidates in it (Guo et al., "On
    Calibration of Modern Neural Networks", ICML 2017).

    Args:
        add: takes a line.
        title: of the table.
        logits: maps a table to the (pairs,) logits whose sigmoid is the score.
        training: the collections that the calibration was fitted on, taken together.
        reported: collections that it was not fitted on, each for itself.
    """
    add(f"\n## {title}: share of relevant candidates by score")
    add("\n| score | " + " | ".join(["fitted on", *(t.sample.name for t in reported)]) + " |")
    add("|---" * (len(reported) + 2) + "|")
    groups = [list(training), *([table] for table in reported)]
    pairs = [
        (
            np.concatenate([expit(logits(table)) for table in group]),
            np.concatenate([table.relevant > 0 for table in group]),
        )
        for group in groups
    ]
    for low, high in pairwise(EDGES):
        cells = []
        for scores, relevant in pairs:
            inside = (scores >= low) & (scores < high)
            cells.append(f"{relevant[inside].mean():.2f} of {inside.sum()}" if inside.any() else "")
        add(f"| {low:.2f} to {high:.2f} | " + " | ".join(cells) + " |")
    errors = [f"{calibration_error(scores, relevant):.3f}" for scores, relevant in pairs]
    add("| expected calibration error | " + " | ".join(errors) + " |")


def calibration_error(scores: NDArray[np.float64], relevant: NDArray[np.bool_]) -> float:
    """Return the expected calibration error over the bands of `EDGES`; (n,) scores in [0, 1]."""
    total = 0.0
    for low, high in pairwise(EDGES):
        inside = (scores >= low) & ((scores < high) if high < 1 else (scores <= 1))
        if inside.any():
            total += inside.sum() * abs(scores[inside].mean() - relevant[inside].mean())
    return float(total / len(scores))


def cascade(
    add: AddLine, reported: Sequence[Table], depths: Sequence[int] = (10, 20, 50, 100)
) -> None:
    """Print nDCG@10 of `optimal` by how many candidates stage 1 keeps, beside both its stages."""
    add("\n## `optimal` by `stage1_top_k`: nDCG@10\n")
    names = [table.sample.name for table in reported]
    add("| order | " + " | ".join([*names, "mean"]) + " |")
    add("|---" * (len(names) + 2) + "|")
    rows = {"`fast`": [table.values["cosine"] for table in reported]}
    rows |= {f"`optimal`, {k}": [_cascade(table, k) for table in reported] for k in depths}
    rows["`standard`"] = [table.values["cross_encoder"] for table in reported]
    for name, scores in rows.items():
        means = [
            measures.mean(table.ndcg(part)) for table, part in zip(reported, scores, strict=True)
        ]
        cells = [f"{value:.3f}" for value in (*means, np.mean(means))]
        add("| " + " | ".join([name, *cells]) + " |")


def _cascade(table: Table, keep: int) -> NDArray[np.float64]:
    """Return scores that order the best `keep` of each pool by the cross-encoder, the rest below.

    The rest keeps its order of stage 1, as in the run of a cascade over a whole pool.
    """
    scores = np.empty(len(table.relevant))
    for start, stop in pairwise(table.offsets):
        cosine = table.values["cosine"][start:stop]
        order = np.argsort(-cosine, kind="stable")
        kept = order[:keep]
        kept = kept[np.argsort(-table.values["cross_encoder"][start:stop][kept], kind="stable")]
        scores[start + np.concatenate([kept, order[keep:]])] = -np.arange(stop - start)
    return scores
