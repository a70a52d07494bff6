"""Medians, quartiles and ratios of interleaved repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and its quartiles; their distance is the spread."""

    median: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Return it with four significant digits."""
        return {name: _short(getattr(self, name)) for name in ("median", "low", "high")}


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles, interpolated linearly, of at least one value."""
    low, median, high = np.percentile(np.asarray(values, dtype=np.float64), (25, 50, 75))
    return Spread(float(median), float(low), float(high))


def ratio(rates: Sequence[float], against: Sequence[float]) -> Spread:
    """Return how many times faster one side is than another.

    Repeats are interleaved, so those of the same number met the same noise: the ratio is taken
    repeat by repeat and then its median, not the ratio of the medians.

    Args:
        rates: (n,) units a second, one a repeat.
        against: (n,) the same of the other side.

    Raises:
        ValueError: the two have different numbers of repeats.
    """
    return spread([own / other for own, other in zip(rates, against, strict=True)])


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and p99 in milliseconds."""
    found = np.percentile(np.asarray(seconds, dtype=np.float64), (50, 95, 99))
    return {
        f"p{name}_ms": _short(1000 * float(value))
        for name, value in zip((50, 95, 99), found, strict=True)
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")
