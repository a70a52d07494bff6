"""Token statistics: what a bi-encoder's tokens look like in general text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from reranker import TokenVectors


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """Background statistics of one bi-encoder's tokens, measured offline.

    Attributes:
        idf: (vocabulary,) float32 inverse document frequencies, or None: all tokens alike.
        second_moment: (d, d) float32, E[x x^T] over background tokens, or None: I / d.
    """

    idf: NDArray[np.float32] | None = None
    second_moment: NDArray[np.float32] | None = None

    def query_weights(self, query: TokenVectors) -> NDArray[np.float32]:
        """Return the (m,) non-negative weights of a query's tokens.

        They are the tokens' idf; a token without one counts as the rarest. A model with a sparse
        head has weights of its own, which are used instead.
        """
        if query.weights is not None:
            return np.maximum(query.weights, 0)
        if self.idf is None:
            return np.ones(len(query.ids), dtype=np.float32)
        known = query.ids < len(self.idf)
        idf = self.idf[np.where(known, query.ids, 0)]
        return np.where(known, idf, self.idf.max())


UNIFORM = TokenStatistics()
"""The statistics of a model of which none were measured."""


def save_token_statistics(statistics: TokenStatistics, path: Path) -> None:
    """Write statistics as a compressed .npz, in float16."""
    arrays = {"idf": statistics.idf, "second_moment": statistics.second_moment}
    halves = {name: array.astype(np.float16) for name, array in arrays.items() if array is not None}
    np.savez_compressed(path, allow_pickle=False, **halves)


def load_token_statistics(path: Path) -> TokenStatistics:
    """Read statistics; unknown arrays are ignored.

    Raises:
        OSError: there is no such file.
        ValueError: it is no .npz, or holds pickled objects.
    """
    with np.load(path, allow_pickle=False) as arrays:
        return TokenStatistics(
            **{
                name: arrays[name].astype(np.float32)
                for name in ("idf", "second_moment")
                if name in arrays
            }
        )
