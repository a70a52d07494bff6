"""Subspace: how much of each query token lies in the space that the document spans.

    subspace = sum_i w_i ||G^(1/2) V^T q_i||^2 / sum_i w_i - trace(G V^T S V)

V (d x r) has the leading right singular vectors of the document's (t x d) token matrix X,
so ||V^T q||^2 in [0, 1] is the soft membership of a token q in the document's span:
Ishibashi, Yokoi, Sudoh and Inui, "Subspace Representations for Soft Set Operations and
Sentence Similarities", NAACL 2024. Three changes make it fit for passages:

* the rank is at most 16: with as many tokens as dimensions every membership is 1;
* the spectrum is shrunk, g_k = s_k^2 / (s_k^2 + ridge) for the singular value s_k, so that
  directions which hardly any token supports count little (this is the soft projection of
  Jaeger, "Controlling Recurrent Neural Networks by Conceptors", 2014);
* the membership that an arbitrary background token would get, trace(G V^T S V) with
  S = E[x x^T] over background tokens, is subtracted: it only measures length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from reranker_methods.tokens import TokenStack, weighted_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANK = 16
RIDGE = 1.0  # the energy of one token: every row of X has unit length
NOTHING = 0.0  # of a document without tokens: what a background token would get


def leading_directions(
    vectors: NDArray[np.float32], rank: int = RANK
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the leading right singular vectors of a (t, d) matrix and their energies.

    By the eigenvectors of the smaller of X X^T (t x t) and X^T X (d x d): only `rank` of
    them are computed, which for a passage is several times cheaper than a full SVD.

    Returns:
        (d, r) orthonormal columns and (r,) squared singular values, r <= rank. Directions
        with no energy to speak of are left out.
    """
    tokens, width = vectors.shape
    side = min(tokens, width)
    gram = vectors @ vectors.T if tokens <= width else vectors.T @ vectors
    first = max(0, side - rank)
    energies, basis = eigh(
        gram, subset_by_index=(first, side - 1), overwrite_a=True, check_finite=False
    )
    real = energies > 1e-4  # float32 rounding leaves about 1e-6 where there is nothing
    energies, basis = energies[real], basis[:, real]
    if tokens <= width:
        basis = (vectors.T @ basis) / np.sqrt(energies)
    return basis.astype(np.float32), energies.astype(np.float32)


def subspace(
    query: NDArray[np.float32],
    weights: NDArray[np.floating],
    documents: TokenStack,
    background: NDArray[np.float32] | None = None,
    ridge: float = RIDGE,
    rank: int = RANK,
) -> NDArray[np.float64]:
    """Score n documents by the debiased soft membership of the query's tokens.

    Args:
        query: (m, d) unit vectors of the query's tokens.
        weights: (m,) non-negative weights of the query's tokens.
        documents: the tokens of n documents.
        background: (d, d) second moment E[x x^T] of background tokens; None: I / d.
        ridge: energy, in tokens, at which a direction counts half.
        rank: the most directions kept of a document.

    Returns:
        (n,) in [-1, 1]; 0 for a document without tokens.
    """
    members = np.zeros((len(query), len(documents)), dtype=np.float32)
    chance = np.full(len(documents), NOTHING)
    for j in np.flatnonzero(np.diff(documents.offsets)):
        basis, energies = leading_directions(documents.of_document(int(j)), rank)
        shrunk = energies / (energies + np.float32(ridge))
        members[:, j] = np.square(query @ basis) @ shrunk
        moved = basis / len(basis) if background is None else background @ basis
        chance[j] = float((moved * basis).sum(axis=0) @ shrunk)
    if not weights.sum() > 0:
        return np.zeros(len(documents))
    return np.asarray(weighted_mean(weights, members) - chance)
