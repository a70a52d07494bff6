"""Fusion of several scores into one: weighted sum, reciprocal ranks, calibration.

The weighted sum standardises every feature with stored constants, never with statistics
of the request, so that a document's score does not depend on its neighbours. That a
plain convex combination with such constants beats rank fusion in and out of domain is the
finding of Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval",
ACM TOIS 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RRF_K = 60


@dataclass(frozen=True, slots=True)
class Term:
    """One feature's part in a weighted sum: weight * (value - mean) / deviation.

    `mean` and `deviation` have the feature's unit, `weight` has none and is not negative.
    """

    mean: float
    deviation: float
    weight: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.mean, self.deviation, self.weight]).all()):
            raise ValueError("mean, deviation and weight must be finite")
        if self.deviation <= 0 or self.weight < 0:
            raise ValueError("deviation must be positive and weight not negative")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted sigmoid: a fused score s has the logit slope * s + intercept.

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999. The slope is
    positive, so the calibration never changes an order.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite([self.slope, self.intercept]).all() and self.slope > 0):
            raise ValueError("slope must be positive and finite, intercept finite")

    def logits(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (n,) log-odds of (n,) fused scores."""
        return self.slope * scores + self.intercept


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """sum_k weight_k * (feature_k - mean_k) / deviation_k, calibrated."""

    terms: Mapping[str, Term]
    calibration: Calibration = field(default_factory=Calibration)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the names of the features whose weight is positive."""
        return tuple(name for name, term in self.terms.items() if term.weight > 0)

    def fuse(self, features: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float64]:
        """Return the (n,) weighted sum of named (n,) features, before calibration.

        Raises:
            KeyError: a feature with a positive weight is missing.
        """
        parts = [
            self.terms[name].weight
            * (features[name].astype(np.float64) - self.terms[name].mean)
            / self.terms[name].deviation
            for name in self.feature_names
        ]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)

    def logits(self, features: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float64]:
        """Return the (n,) calibrated log-odds of named (n,) features; raises as `fuse` does."""
        return self.calibration.logits(self.fuse(features))


def reciprocal_rank_fusion(
    scores: Sequence[NDArray[np.floating]], k: int = RRF_K
) -> NDArray[np.float64]:
    """Fuse by ranks alone: sum over the lists of 1 / (k + rank), ranks from 1.

    Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion Outperforms Condorcet and
    Individual Rank Learning Methods", SIGIR 2009. Needs no constants, but a document's
    value depends on its neighbours, so it suits comparisons rather than thresholds.

    Args:
        scores: lists of (n,) scores of the same n documents, higher is better.
        k: how little the first ranks matter more than the next.

    Returns:
        (n,) fused values. Documents with equal scores share the best rank among them.

    Raises:
        ValueError: there is no list.
    """
    if not scores:
        raise ValueError("there is no list of scores to fuse")
    fused = np.zeros(len(scores[0]))
    for values in scores:
        rank = 1 + np.searchsorted(np.sort(-values), -values, side="left")
        fused += 1.0 / (k + rank)
    return fused


def fit_calibration(
    scores: NDArray[np.float64],
    relevant: NDArray[np.bool_],
    weights: NDArray[np.float64] | None = None,
) -> Calibration:
    """Fit slope and intercept by the (weighted) cross-entropy.

    Platt's smoothed targets keep the fit finite when the classes are separable.

    Args:
        scores: (n,) fused scores.
        relevant: (n,) whether each document is relevant.
        weights: (n,) importance of each document; None weighs all alike.

    Raises:
        ValueError: only one class is present, or the scores do not rise with relevance.
    """
    from scipy.optimize import minimize

    positives, negatives = int(relevant.sum()), int((~relevant).sum())
    if not positives or not negatives:
        raise ValueError("calibration needs both relevant and other documents")
    high, low = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    targets = np.where(relevant, high, low)
    share = np.ones(len(scores)) if weights is None else weights
    share = share / share.sum()

    def loss(parameters: NDArray[np.float64]) -> float:
        logits = parameters[0] * scores + parameters[1]
        return float(share @ (np.logaddexp(0, logits) - targets * logits))

    found = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options={"maxiter": 2000})
    slope, intercept = (float(value) for value in found.x)
    if slope <= 0:
        raise ValueError("the scores do not rise with relevance")
    return Calibration(slope, intercept)
