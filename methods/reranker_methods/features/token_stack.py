"""The token vectors of many documents in one array, for one matmul over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reranker import TokenVectors
    from reranker.families.roles import Memo


@dataclass(frozen=True, slots=True)
class TokenStack:
    """The tokens of n documents, one document after the other, T in all.

    Attributes:
        vectors: (T, d) float32, unit rows.
        ids: (T,) int64, vocabulary ids.
        offsets: (n + 1,) int64, document j has the rows offsets[j] to offsets[j + 1].
        memos: of the n documents, what is cached with the vectors of each.
        weights: (T,) float32 lexical weights, or None where the model has none.
    """

    vectors: NDArray[np.float32]
    ids: NDArray[np.int64]
    offsets: NDArray[np.int64]
    memos: Sequence[Memo]
    weights: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, documents: Sequence[TokenVectors]) -> TokenStack:
        """Stack the tokens of at least one document."""
        lengths = [len(document.ids) for document in documents]
        weights = [document.weights for document in documents if document.weights is not None]
        return cls(
            vectors=np.concatenate([document.vectors for document in documents]),
            ids=np.concatenate([document.ids for document in documents]),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            memos=[document.memo for document in documents],
            weights=np.concatenate(weights) if len(weights) == len(documents) else None,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of_document(self, index: int) -> NDArray[np.float32]:
        """Return the (t, d) vectors of one document."""
        return self.vectors[self.offsets[index] : self.offsets[index + 1]]

    def reduce(
        self, operation: np.ufunc, values: NDArray[np.floating], empty: float
    ) -> NDArray[np.float32]:
        """Reduce (m, T) values over each document's tokens.

        Returns:
            (m, n), `empty` in the columns of documents without tokens, for which `reduceat`
            would return a value of the next document.
        """
        reduced = np.full((len(values), len(self)), empty, dtype=np.float32)
        filled = np.flatnonzero(np.diff(self.offsets))
        if filled.size and len(values):
            reduced[:, filled] = operation.reduceat(values, self.offsets[filled], axis=1)
        return reduced


def weighted_mean(
    weights: NDArray[np.floating], values: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return sum_i w_i x_ij / sum_i w_i, (n,), of (m, n) values; 0 if no weight is positive."""
    total = float(weights.sum(dtype=np.float64))
    if total <= 0:
        return np.zeros(values.shape[1])
    return np.asarray(weights.astype(np.float64) @ values / total)
