import numpy as np
import pytest

from reranker import TokenVectors
from reranker_methods.features.spans import best_spans

TEXT = "We saw a red fox, then it rained on the unbelievable sea."


def found(tokens, query, text=TEXT, weights=None):
    query = tokens(query)
    weights = np.ones(len(query.ids)) if weights is None else np.array(weights)
    return [
        (text[span.start : span.end], span) for span in best_spans(query, weights, tokens(text))
    ]


def test_adjacent_matches_are_one_span_with_the_mean_cosine(tokens):
    (text, span), *_ = found(tokens, "red fox,")

    assert text == "red fox,"
    assert span.score == pytest.approx(1.0, abs=1e-5)


def test_spans_are_ordered_by_the_weight_they_collect_and_bounded(tokens):
    spans = found(tokens, "saw red rained unbelievable", weights=[1, 2, 4, 3])

    assert [text for text, _ in spans] == ["rained", "unbelievable", "red"]


def test_pieces_of_a_word_are_shown_as_the_whole_word(tokens):
    basis = np.eye(3, dtype=np.float32)
    document = TokenVectors(basis, np.arange(3), np.array([[0, 4], [5, 7], [7, 11]], np.int32))
    query = TokenVectors(basis[2:], np.array([2]), np.array([[0, 4]], np.int32))

    (span,) = best_spans(query, np.ones(1), document)

    assert (span.start, span.end, span.score) == (5, 11, 1.0)


@pytest.mark.parametrize(("query", "text"), [("red", "..."), ("?", "red"), ("?", "")])
def test_nothing_to_compare_gives_no_span(tokens, query, text):
    assert found(tokens, query, text) == []


def test_weightless_queries_give_no_span(tokens):
    assert found(tokens, "red", weights=[0]) == []
