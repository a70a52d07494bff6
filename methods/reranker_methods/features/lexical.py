"""Lexical overlap: the weighted share of the query's tokens that the document holds.

    lexical = sum_i w_i [token i occurs in the document] / sum_i w_i

with w_i the token's idf (Spaerck Jones, "A Statistical Interpretation of Term Specificity
and Its Application in Retrieval", 1972). Where the bi-encoder has a trained sparse head
(Chen et al., "M3-Embedding", 2024) its weights replace both:

    lexical = sum_v q_v d_v / sum_v q_v^2

over the vocabulary ids v that both texts hold, each text counting its largest weight of
v. Dividing by the query's inner product with itself gives identical texts the score 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker_methods.features.token_stack import TokenStack, weighted_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray


def lexical(
    ids: NDArray[np.int64], weights: NDArray[np.floating], documents: TokenStack
) -> NDArray[np.float64]:
    """Score n documents by the share of query tokens they hold.

    Args:
        ids: (m,) vocabulary ids of the query's tokens.
        weights: (m,) non-negative weights of the query's tokens.
        documents: the tokens of n documents.

    Returns:
        (n,) in [0, 1]; 0 for a document without tokens.
    """
    same = ids[:, None] == documents.ids[None, :]
    return weighted_mean(weights, documents.reduce(np.logical_or, same, empty=0.0))


def sparse_lexical(
    ids: NDArray[np.int64], weights: NDArray[np.floating], documents: TokenStack
) -> NDArray[np.float64]:
    """Score n documents by the weights of a trained sparse head.

    Args:
        ids: (m,) vocabulary ids of the query's tokens.
        weights: (m,) the sparse head's weights of the query's tokens.
        documents: the tokens of n documents, with weights.

    Returns:
        (n,) at least 0, and 1 for a document that equals the query.

    Raises:
        ValueError: the documents carry no weights.
    """
    if documents.weights is None:
        raise ValueError("the documents' tokens carry no lexical weights")
    terms, term_of = np.unique(ids, return_inverse=True)
    largest = np.zeros(len(terms))
    np.maximum.at(largest, term_of, weights)
    held = np.where(terms[:, None] == documents.ids[None, :], documents.weights[None, :], 0.0)
    own = float(largest @ largest)
    if own <= 0:
        return np.zeros(len(documents))
    return np.asarray(largest @ documents.reduce(np.maximum, held, empty=0.0) / own)
