"""Attention: how well each query token finds a counterpart in the document.

    attention = sum_i w_i sum_j softmax_j(c_ij / tau) c_ij / sum_i w_i

c_ij is the cosine of query token i and document token j, w_i the weight of the query
token. As tau goes to 0 the inner sum becomes max_j c_ij, the MaxSim of Khattab and
Zaharia, "ColBERT: Efficient and Effective Passage Search via Contextualized Late
Interaction over BERT", SIGIR 2020. A positive tau lets several good counterparts share
the credit. Dividing by the weights keeps the value a cosine, comparable across queries
of any length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker_methods.features.token_stack import TokenStack, weighted_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAU = 0.05  # a cosine; about the gap between a token's best and second best counterpart
EMPTY = 0.0  # the score of a document without tokens: orthogonal to the query


def attention(
    query: NDArray[np.float32],
    weights: NDArray[np.floating],
    documents: TokenStack,
    tau: float = TAU,
) -> NDArray[np.float64]:
    """Score n documents by soft late interaction.

    Args:
        query: (m, d) unit vectors of the query's tokens.
        weights: (m,) non-negative weights of the query's tokens.
        documents: the tokens of n documents, T in all.
        tau: temperature, a cosine, at least 0.025: below that exp(-2 / tau) leaves float32.

    Returns:
        (n,) in [-1, 1]; 0 for a document without tokens.
    """
    cosines = query @ documents.vectors.T
    # A cosine is at most 1, so this shift bounds the exponent without a maximum per document.
    shares = np.exp((cosines - np.float32(1)) / np.float32(tau))
    total = documents.reduce(np.add, shares, empty=1.0)
    shares *= cosines
    matched = documents.reduce(np.add, shares, empty=EMPTY) / total
    return weighted_mean(weights, matched)
