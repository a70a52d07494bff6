"""Finding the `score_threshold` that keeps a promised precision or recall."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from reranker.errors import InvalidRequest
from reranker_bench.evaluation import significance

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGITS = 4


class ThresholdError(InvalidRequest):
    """The goal is malformed, or no threshold reaches it."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a threshold must keep: at least `value` of "precision" or "recall"."""

    measure: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Goal:
        """Read "precision=0.9".

        Raises:
            ThresholdError: it is not of that form, or the value is not within 0 and 1.
        """
        found = re.fullmatch(r"(precision|recall)=([0-9.]+)", text.replace(" ", ""))
        try:
            value = float(found[2]) if found else -1.0
        except ValueError:
            value = -1.0
        if found is None or not 0 < value <= 1:
            raise ThresholdError(
                f"--threshold {text}: write precision=0.9 or recall=0.8, above 0 and at most 1"
            )
        return cls(found[1], value)


@dataclass(frozen=True, slots=True)
class Found:
    """A threshold and what it does to queries that the scores were not fitted on.

    Attributes:
        threshold: keep documents whose score is at least this.
        precision: share of the kept documents that are relevant; unjudged ones are not.
        precision_low: lower end of its interval over queries.
        precision_high: upper end.
        recall: share of the relevant candidates that are kept.
        kept: documents kept.
        of: documents in all.
        emptied: share of the queries that keep nothing.
    """

    threshold: float
    precision: float
    precision_low: float
    precision_high: float
    recall: float
    kept: int
    of: int
    emptied: float


def find(
    goal: Goal,
    logits: Sequence[NDArray[np.float64]],
    relevant: Sequence[NDArray[np.bool_]],
) -> Found:
    """Return the threshold that reaches a goal and gives up least of the other measure.

    For a precision that is the lowest threshold that keeps it, for a recall the highest. It is
    rounded down, so that documents at the threshold stay in.

    Args:
        goal: what to reach.
        logits: for each query the log-odds of its candidates, not fitted on it.
        relevant: for each query whether each candidate is relevant.

    Raises:
        ThresholdError: nothing is relevant, or no threshold reaches the precision.
    """
    scores = expit(np.concatenate(logits))
    hits = np.concatenate(relevant)
    if not hits.any():
        raise ThresholdError("no candidate is relevant, so there is no threshold to find")
    levels = np.unique(_floor(scores))[::-1]
    order = np.sort(scores)
    kept = len(scores) - np.searchsorted(order, levels, side="left")
    good = hits.sum() - np.searchsorted(np.sort(scores[hits]), levels, side="left")
    reached = (good / kept if goal.measure == "precision" else good / hits.sum()) >= goal.value
    if not reached.any():
        best = float((good / kept).max())
        raise ThresholdError(f"no threshold keeps a precision of {goal.value}; at best {best:.3f}")
    places = np.flatnonzero(reached)
    at = int(places[-1] if goal.measure == "precision" else places[0])
    return _judge(float(levels[at]), logits, relevant)


def _floor(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round down to `DIGITS` digits, never above the score, whatever the last bit says."""
    floors = np.floor(scores * 10**DIGITS) / 10**DIGITS
    below = np.round(floors - 10.0**-DIGITS, DIGITS)
    return np.asarray(np.where(floors > scores, below, floors), dtype=np.float64)


def _judge(
    threshold: float,
    logits: Sequence[NDArray[np.float64]],
    relevant: Sequence[NDArray[np.bool_]],
) -> Found:
    over = [expit(values) >= threshold for values in logits]
    kept = np.array([each.sum() for each in over])
    good = np.array([(each & hit).sum() for each, hit in zip(over, relevant, strict=True)])
    low, high = _interval(good, kept)
    return Found(
        threshold=threshold,
        precision=float(good.sum() / max(kept.sum(), 1)),
        precision_low=low,
        precision_high=high,
        recall=float(good.sum() / sum(int(hit.sum()) for hit in relevant)),
        kept=int(kept.sum()),
        of=sum(len(values) for values in logits),
        emptied=float((kept == 0).mean()),
    )


def _interval(good: NDArray[np.int64], kept: NDArray[np.int64]) -> tuple[float, float]:
    """Return the bootstrap interval of the precision, drawing queries."""
    random = np.random.default_rng(significance.SEED)
    ratios = []
    for _ in range(2000):
        drawn = random.integers(0, len(kept), len(kept))
        total = kept[drawn].sum()
        ratios.append(good[drawn].sum() / total if total else math.nan)
    low, high = np.nanquantile(ratios, [0.025, 0.975])
    return float(low), float(high)
