"""How far the outputs of two execution variants may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_SCORES = 1e-3
"""The largest difference between variants that a measurement chooses among: which one is faster
today must not show in the scores."""
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2, "float16": 1e-2, "int8": 2e-1}
"""The largest difference of a variant that a setting asks for, by dtype."""


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return how far two outputs are apart.

    Args:
        one: (n,) logits, or (n, d) unit vectors.
        other: the same of the same inputs.

    Returns:
        The largest difference, of logits as a share of 1 + |logit|, of vectors in their cosines.
    """
    if one.ndim == 2:
        return float(np.abs(one @ one.T - other @ other.T).max())
    return float((np.abs(one - other) / (1 + np.abs(other))).max())
