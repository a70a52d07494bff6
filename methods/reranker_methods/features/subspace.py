"""Subspace: how much of each query token is in the space that the document spans.

    subspace = sum_i w_i q_i^T C q_i / sum_i w_i - trace(C S)
    C = X^T (X X^T + ridge I)^-1 X = sum_k s_k^2 / (s_k^2 + ridge) v_k v_k^T

X is the document's (t x d) token matrix with singular values s_k and right singular
vectors v_k. Without a ridge, C projects on the span of the document and q^T C q in [0, 1]
is the soft membership of a token q in it: Ishibashi, Yokoi, Sudoh and Inui, "Subspace
Representations for Soft Set Operations and Sentence Similarities", NAACL 2024. On passages
that degenerates: with as many tokens as dimensions every membership is 1, so it measures
length. Two changes correct this:

* the spectrum is shrunk: a direction counts by how many tokens support it, half with an
  energy of `ridge` tokens. C is then the soft projection of Jaeger, "Controlling Recurrent
  Neural Networks by Conceptors", 2014;
* the membership that an arbitrary background token would get, trace(C S) with S = E[x x^T]
  over background tokens, is subtracted.

The ridge makes a singular value decomposition unnecessary: with the Cholesky factor L of
X X^T + ridge I, q^T C q = ||L^-1 X q||^2, and with Y = L^-1 X, trace(C S) = sum (Y S) * Y. The
trace is most of the work and depends on the document alone, so it is cached with its vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from reranker_methods.features.token_stack import TokenStack, weighted_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.families.roles import Memo

RIDGE = 1.0  # the energy of one token: every row of X has unit length
EMPTY = 0.0  # the score of a document without tokens: that of a background token


def subspace(
    query: NDArray[np.float32],
    weights: NDArray[np.floating],
    documents: TokenStack,
    background: NDArray[np.float32] | None = None,
    ridge: float = RIDGE,
) -> NDArray[np.float64]:
    """Score n documents by the debiased soft membership of the query's tokens.

    Args:
        query: (m, d) unit vectors of the query's tokens.
        weights: (m,) non-negative weights of the query's tokens.
        documents: the tokens of n documents.
        background: (d, d) second moment E[x x^T] of background tokens; None: I / d.
        ridge: energy, in tokens, at which a direction counts half; positive.

    Returns:
        (n,) in [-1, 1]; 0 for a document without tokens.
    """
    membership = np.zeros((len(query), len(documents)), dtype=np.float32)
    bias = np.full(len(documents), EMPTY)
    for j in np.flatnonzero(np.diff(documents.offsets)):
        vectors = documents.of_document(int(j))
        factor = _factor(vectors, ridge)
        membership[:, j] = np.square(_solve(factor, vectors @ query.T)).sum(axis=0)
        bias[j] = _bias(vectors, factor, background, ridge, documents.memos[int(j)])
    if not weights.sum() > 0:
        return np.zeros(len(documents))
    return np.asarray(weighted_mean(weights, membership) - bias)


def _bias(
    vectors: NDArray[np.float32],
    factor: NDArray[np.float32],
    background: NDArray[np.float32] | None,
    ridge: float,
    memo: Memo,
) -> float:
    """Return trace(C S), from the memo if it was computed for the same background and ridge."""
    cached = memo.get("subspace")
    if cached is not None and cached[0] is background and cached[1] == ridge:
        return float(cached[2])
    y = _solve(factor, vectors)
    y_s = y / y.shape[1] if background is None else y @ background
    trace = float(np.vdot(y_s, y))
    memo["subspace"] = (background, ridge, trace)
    return trace


def _factor(vectors: NDArray[np.float32], ridge: float) -> NDArray[np.float32]:
    """Return L (t, t), lower triangular, with L L^T = X X^T + ridge I for a document X (t, d)."""
    gram = vectors @ vectors.T
    gram[np.diag_indices_from(gram)] += np.float32(ridge)
    factor = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
    return np.asarray(factor, dtype=np.float32)


def _solve(factor: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    solved = solve_triangular(factor, right, lower=True, check_finite=False)
    return np.asarray(solved, dtype=np.float32)
