"""Whether a difference of two methods could be chance: paired tests over queries.

The test is the paired randomisation (permutation) test: if two methods were equally good,
swapping their scores on any query would be as likely as not. Over n random choices of swaps,

    p = (count + 1) / (n + 1)

with count the number of choices whose mean difference is at least as far from 0 as the one
seen; the ones keep p from being 0 and the test exact (Phipson and Smyth, "Permutation
P-values Should Never Be Zero", 2010; Smucker, Allan and Carterette, "A Comparison of
Statistical Significance Tests for Information Retrieval Evaluation", CIKM 2007). The interval
is the percentile bootstrap over queries. Several comparisons share their risk by Holm's
step-down procedure ("A Simple Sequentially Rejective Multiple Test Procedure", 1979).

Differences may come in strata, one a data set: the statistic is then the mean over strata of
the mean within each, and queries are swapped and drawn within their stratum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Strata = Sequence[NDArray[np.float64]]

RESAMPLES = 9_999
SEED = 20_240_607
LEVEL = 0.95
_CELLS = 4_000_000  # random numbers held at a time
_EQUAL = 1e-12  # differences this close are the same number, summed in another order


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one method is than another on the same queries.

    Attributes:
        mean: of the per-query differences, in the unit of the measure.
        low: lower end of the bootstrap interval.
        high: upper end.
        p: of the two-sided paired randomisation test, not adjusted.
        wins: queries on which the first method is better.
        ties: queries without a difference.
        losses: queries on which it is worse.
    """

    mean: float
    low: float
    high: float
    p: float
    wins: int
    ties: int
    losses: int


def paired_difference(
    strata: Strata, resamples: int = RESAMPLES, seed: int = SEED, level: float = LEVEL
) -> Difference:
    """Test the differences of two methods.

    Args:
        strata: for each data set the (q,) differences, one a query.
        resamples: random swaps, and bootstrap draws.
        seed: equal seeds give equal answers.
        level: of the interval.

    Raises:
        ValueError: there is no query, or a difference is not finite.
    """
    if not strata or any(len(differences) == 0 for differences in strata):
        raise ValueError("a comparison needs at least one query in each data set")
    joined = np.concatenate(strata)
    if not np.isfinite(joined).all():
        raise ValueError("a difference is not finite")
    low, high = bootstrap_interval(strata, resamples, seed, level)
    tie = np.abs(joined) <= _EQUAL
    return Difference(
        mean=float(np.mean([differences.mean() for differences in strata])),
        low=low,
        high=high,
        p=randomisation_p(strata, resamples, seed),
        wins=int(((joined > 0) & ~tie).sum()),
        ties=int(tie.sum()),
        losses=int(((joined < 0) & ~tie).sum()),
    )


def randomisation_p(strata: Strata, resamples: int = RESAMPLES, seed: int = SEED) -> float:
    """Return the two-sided p of the paired randomisation test."""
    random = np.random.default_rng(seed)
    seen = abs(float(np.mean([differences.mean() for differences in strata])))
    means = np.zeros(resamples)
    for differences in strata:
        for rows in _chunks(resamples, len(differences)):
            size = (rows.stop - rows.start, len(differences))
            signs = random.integers(0, 2, size, dtype=np.int8) * 2 - 1
            means[rows] += signs @ differences / len(differences)
    count = int((np.abs(means / len(strata)) >= seen - _EQUAL).sum())
    return (count + 1) / (resamples + 1)


def bootstrap_interval(
    strata: Strata, resamples: int = RESAMPLES, seed: int = SEED, level: float = LEVEL
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over strata."""
    random = np.random.default_rng(seed + 1)
    means = np.zeros(resamples)
    for values in strata:
        for rows in _chunks(resamples, len(values)):
            size = (rows.stop - rows.start, len(values))
            means[rows] += values[random.integers(0, len(values), size)].mean(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means / len(strata), [tail, 1 - tail])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for multiple comparisons, in the order of the argument.

    The i-th smallest of m is multiplied by m - i + 1; none may be below a smaller one's.
    """
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, p_values[at] * (len(p_values) - rank)))
        adjusted[at] = largest
    return adjusted


def _chunks(total: int, width: int) -> Iterator[slice]:
    step = max(1, _CELLS // width)
    for start in range(0, total, step):
        yield slice(start, min(total, start + step))
