import numpy as np
import pytest

from reranker_methods.features.lexical import lexical, sparse_lexical
from reranker_methods.features.token_stack import TokenStack


def stack_of(*documents, weights=None):
    flat = [token for document in documents for token in document]
    return TokenStack(
        np.zeros((len(flat), 4), np.float32),
        np.array(flat, np.int64),
        np.cumsum([0, *(len(document) for document in documents)]),
        [{} for _ in documents],
        None if weights is None else np.array(weights, np.float32),
    )


def test_is_the_weighted_share_of_query_tokens_that_occur():
    ids, weights = np.array([7, 8, 9]), np.array([3.0, 1.0, 0.0])

    scores = lexical(ids, weights, stack_of([7, 1, 7], [8, 9], [], [9, 8, 7]))

    assert scores == pytest.approx([3 / 4, 1 / 4, 0, 1])


def test_sparse_weights_multiply_and_the_query_itself_scores_one():
    ids, weights = np.array([7, 8, 7]), np.array([0.5, 0.2, 0.3])  # 7 counts with 0.5
    stack = stack_of([7, 8, 7], [8, 1], [1], [], weights=[0.5, 0.2, 0.3, 0.4, 0.9, 0.9])

    scores = sparse_lexical(ids, weights, stack)

    assert scores == pytest.approx([1, 0.2 * 0.4 / (0.5**2 + 0.2**2), 0, 0])


def test_queries_without_weight_score_zero():
    stack = stack_of([7], weights=[0.5])

    assert lexical(np.array([7]), np.zeros(1), stack).tolist() == [0.0]
    assert sparse_lexical(np.array([7]), np.zeros(1), stack).tolist() == [0.0]
    assert sparse_lexical(np.zeros(0, np.int64), np.zeros(0), stack).tolist() == [0.0]


def test_sparse_weights_of_documents_are_required():
    with pytest.raises(ValueError, match="no lexical weights"):
        sparse_lexical(np.array([7]), np.ones(1), stack_of([7]))
