import math

import numpy as np
import pytest

from reranker_methods.features.attention import attention
from reranker_methods.features.token_stack import TokenStack


def attention_by_hand(query, weights, document, tau):
    """The formula, one token at a time."""
    total = 0.0
    for q, w in zip(query, weights, strict=True):
        cosines = [float(q @ d) for d in document]
        if cosines:
            shares = [math.exp(c / tau) for c in cosines]
            total += w * sum(s * c for s, c in zip(shares, cosines, strict=True)) / sum(shares)
    return total / sum(weights)


@pytest.fixture
def stack(tokens):
    texts = ["a red fox ran", "", "blue", "the fox is red and the sky is blue", "..."]
    return TokenStack.of([tokens(text) for text in texts])


@pytest.mark.parametrize("tau", [0.025, 0.05, 0.2])
def test_equals_the_formula_spelled_out(tokens, stack, tau):
    query, weights = tokens("red fox blue sea"), [1.0, 2.0, 0.5, 0.0]

    scores = attention(query.vectors, np.array(weights), stack, tau)

    expected = [
        attention_by_hand(query.vectors, weights, stack.of_document(j), tau)
        for j in range(len(stack))
    ]
    assert scores == pytest.approx(expected, abs=1e-5)


def test_tends_to_the_largest_cosine_as_tau_falls(tokens, stack):
    query = tokens("red fox blue sea").vectors
    document = stack.of_document(3)

    score = attention(query, np.ones(4), stack, tau=0.025)[3]

    assert score == pytest.approx((query @ document.T).max(axis=1).mean(), abs=0.01)


def test_a_document_that_holds_every_query_token_scores_about_one(tokens):
    stack = TokenStack.of([tokens("red fox"), tokens("blue sea")])

    same, other = attention(tokens("fox red").vectors, np.ones(2), stack)

    assert same == pytest.approx(1.0, abs=1e-3)
    assert other < 0.5


def test_documents_without_tokens_and_weightless_queries_score_zero(tokens, stack):
    query = tokens("red fox").vectors

    assert attention(query, np.ones(2), stack)[[1, 4]].tolist() == [0.0, 0.0]
    assert attention(query, np.zeros(2), stack).tolist() == [0.0] * 5
    assert attention(tokens("?").vectors, np.ones(0), stack).tolist() == [0.0] * 5
    assert attention(query, np.ones(2), TokenStack.of([tokens("")])).tolist() == [0.0]


def test_token_order_does_not_matter(tokens):
    query = tokens("red fox").vectors
    forth, back = TokenStack.of([tokens("a red fox ran")]), TokenStack.of([tokens("ran fox red a")])

    assert attention(query, np.ones(2), forth) == pytest.approx(attention(query, np.ones(2), back))
