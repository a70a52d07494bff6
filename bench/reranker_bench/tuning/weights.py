"""Fitting non-negative weights by a listwise loss, every collection with the same weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from reranker.pipeline.fusion import Term, WeightedSum, fit_calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reranker_bench.tuning.features import Table


Scales = dict[str, tuple[float, float]]


def constants(tables: Sequence[Table], name: str) -> tuple[float, float]:
    """Return mean and standard deviation of a feature, every collection with the same weight."""
    means = [float(table.values[name].mean()) for table in tables]
    squares = [float(np.square(table.values[name]).mean()) for table in tables]
    mean = float(np.mean(means))
    return mean, float(np.sqrt(np.mean(squares) - mean**2))


def fit(tables: Sequence[Table], names: Sequence[str], pull: float) -> WeightedSum:
    """Fit weights and calibration of some features.

    The loss is ListNet's top-one cross-entropy (Cao et al., "Learning to Rank: From Pairwise
    Approach to Listwise Approach", ICML 2007), averaged over the queries of a collection,
    then over collections, plus `pull` times the squared distance of the weights to their
    mean. The pull guards against what the training collections have in common and others
    have not: most of their questions were written by someone who saw the passage, which
    flatters token overlap, and the embedded cross-encoder was trained on the same ones.
    Weights are scaled to sum to 1, the calibration takes up the scale.

    Args:
        tables: the collections to fit on.
        names: the features that may get weight.
        pull: strength of the pull towards equal weights.

    Raises:
        ValueError: no feature rises with relevance.
    """
    scales = {name: constants(tables, name) for name in names}
    designs = [_standardised(table, scales) for table in tables]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parts = [_listwise(t, x, weights) for t, x in zip(tables, designs, strict=True)]
        away = weights - weights.mean()
        value = float(np.mean([part[0] for part in parts])) + pull * float(away @ away)
        return value, np.mean([part[1] for part in parts], axis=0) + 2 * pull * away

    bounds = [(0, None)] * len(names)
    found = minimize(loss, np.ones(len(names)), jac=True, method="L-BFGS-B", bounds=bounds)
    if not found.x.any():
        raise ValueError(f"none of {', '.join(names)} rises with relevance")
    weights = found.x / found.x.sum()
    return calibrate(
        tables,
        {
            name: Term(*scales[name], round(float(weight), 3))
            for name, weight in zip(names, weights, strict=True)
        },
    )


def calibrate(tables: Sequence[Table], terms: dict[str, Term]) -> WeightedSum:
    """Fit the sigmoid of a weighted sum, every collection with the same weight."""
    fusion = WeightedSum(terms)
    fused = np.concatenate([fusion.fuse(table.values) for table in tables])
    relevant = np.concatenate([table.relevant > 0 for table in tables])
    sample_weights = np.concatenate([np.full(len(t.relevant), 1 / len(t.relevant)) for t in tables])
    return WeightedSum(terms, fit_calibration(fused, relevant, sample_weights))


def _standardised(table: Table, scales: Scales) -> NDArray[np.float64]:
    """Return the (pairs, features) standardised values of the named features."""
    columns = [(table.values[name] - mean) / spread for name, (mean, spread) in scales.items()]
    return np.stack(columns, axis=1)


def _listwise(
    table: Table, design: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the mean cross-entropy over queries and its gradient in the weights."""
    starts, lengths = table.offsets[:-1], np.diff(table.offsets)
    scores = design @ weights
    scores -= np.repeat(np.maximum.reduceat(scores, starts), lengths)
    shares = np.exp(scores)
    totals = np.add.reduceat(shares, starts)
    targets = table.relevant / np.repeat(np.add.reduceat(table.relevant, starts), lengths)
    value = -float(targets @ (scores - np.repeat(np.log(totals), lengths)))
    slope = (shares / np.repeat(totals, lengths) - targets) @ design
    return value / len(starts), slope / len(starts)
