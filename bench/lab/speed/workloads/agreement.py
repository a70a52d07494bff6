"""Whether two sides computed the same thing; a time without that means nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TOLERANCES = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 5e-3, "int8": 5e-2}
"""Largest difference in probability or cosine to the float32 reference, by dtype.

bfloat16 has 8 bits of mantissa: a logit of 4 is off by up to 0.008 from rounding it alone, and
every layer before it has rounded as well. Compare with the `deviation` of the reference's
scores, which is kept beside the difference.
"""

Scores = Sequence[Sequence[float]]


def difference(scores: Scores, reference: Scores) -> float:
    """Return the largest difference of scores, pool by pool; infinite where sizes differ."""
    sizes = [len(pool) for pool in scores]
    if sizes != [len(pool) for pool in reference]:
        return float("inf")
    own, other = (
        np.concatenate([np.asarray(p, dtype=np.float64) for p in each] or [np.zeros(0)])
        for each in (scores, reference)
    )
    if not np.isfinite(own).all():
        return float("inf")
    return float(np.abs(own - other).max(initial=0.0))


def tolerance(dtype: str) -> float:
    """Return the largest difference allowed for a dtype."""
    return TOLERANCES.get(dtype, TOLERANCES["float32"])


def deviation(scores: Scores) -> float:
    """Return the standard deviation of all scores: how much there is to agree on."""
    return float(np.std(np.concatenate([np.asarray(pool, dtype=np.float64) for pool in scores])))
