import numpy as np
import pytest

from reranker_methods.features.subspace import subspace
from reranker_methods.features.token_stack import TokenStack

RNG = np.random.default_rng(0)


def unit_rows(count, width):
    rows = RNG.normal(size=(count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def stack_of(*documents):
    ids = [np.zeros(len(document), np.int64) for document in documents]
    return TokenStack(
        np.concatenate(documents),
        np.concatenate(ids),
        np.cumsum([0, *(len(document) for document in documents)]),
        [{} for _ in documents],
    )


def subspace_by_hand(query, weights, document, background, ridge):
    """The formula by a full SVD, one direction and one token at a time."""
    _, singular, directions = np.linalg.svd(document.astype(np.float64), full_matrices=False)
    total, chance = 0.0, 0.0
    for s, v in zip(singular, directions, strict=True):
        share = s**2 / (s**2 + ridge)
        total += share * sum(w * (q @ v) ** 2 for q, w in zip(query, weights, strict=True))
        chance += share * (v @ background @ v)
    return total / sum(weights) - chance


@pytest.mark.parametrize("ridge", [0.25, 1.0, 4.0])
def test_equals_the_formula_spelled_out(ridge):
    query, weights = unit_rows(5, 24), np.array([1.0, 0.5, 2.0, 0.0, 1.5])
    documents = [unit_rows(count, 24) for count in (1, 7, 24, 60)]
    some = unit_rows(500, 24)
    background = some.T @ some / len(some)

    scores = subspace(query, weights, stack_of(*documents), background, ridge)

    expected = [
        subspace_by_hand(query, weights, document, background, ridge) for document in documents
    ]
    assert scores == pytest.approx(expected, abs=1e-4)


def test_a_direction_counts_by_the_tokens_that_support_it():
    along, across = np.eye(24, dtype=np.float32)[:2]
    stack = stack_of(along[None], np.repeat(along[None], 3, axis=0), across[None])

    scores = subspace(along[None], np.ones(1), stack, np.zeros((24, 24), np.float32))

    assert scores == pytest.approx([1 / 2, 3 / 4, 0])


def test_as_the_ridge_vanishes_a_token_of_the_document_is_a_full_member():
    document = unit_rows(5, 24)

    scores = subspace(
        document, np.ones(5), stack_of(document), np.zeros((24, 24), np.float32), 1e-4
    )

    assert scores == pytest.approx([1.0], abs=1e-2)


def test_an_arbitrary_background_token_scores_zero_on_average_whatever_the_length():
    background_tokens = unit_rows(4000, 24)
    background = background_tokens.T @ background_tokens / 4000
    stack = stack_of(*(unit_rows(count, 24) for count in (2, 20, 80)))

    scores = subspace(background_tokens, np.ones(4000), stack, background)

    assert scores == pytest.approx([0, 0, 0], abs=1e-4)


def test_without_a_background_space_is_taken_to_be_isotropic():
    query, stack = unit_rows(3, 24), stack_of(unit_rows(9, 24))

    plain = subspace(query, np.ones(3), stack)

    isotropic = np.eye(24, dtype=np.float32) / 24
    assert plain == pytest.approx(subspace(query, np.ones(3), stack, isotropic), abs=1e-6)


def test_documents_without_tokens_and_weightless_queries_score_zero():
    nothing = np.zeros((0, 24), np.float32)
    stack = stack_of(nothing, unit_rows(9, 24), nothing)

    assert subspace(unit_rows(3, 24), np.ones(3), stack)[[0, 2]].tolist() == [0.0, 0.0]
    assert subspace(unit_rows(3, 24), np.zeros(3), stack).tolist() == [0.0] * 3
    assert subspace(nothing, np.ones(0), stack).tolist() == [0.0] * 3


def test_token_order_does_not_matter():
    query, document = unit_rows(3, 24), unit_rows(9, 24)
    forth, back = stack_of(document), stack_of(document[::-1].copy())

    assert subspace(query, np.ones(3), forth) == pytest.approx(
        subspace(query, np.ones(3), back), abs=1e-5
    )


def test_the_bias_is_computed_once_per_background():
    query, stack = unit_rows(3, 24), stack_of(unit_rows(9, 24), unit_rows(4, 24))
    some, other = (np.diag(RNG.random(24)).astype(np.float32) for _ in range(2))
    expected = subspace(query, np.ones(3), stack, some).tolist()

    assert subspace(query, np.ones(3), stack, some).tolist() == expected
    for memo in stack.memos:  # shows that it is read
        memo["subspace"] = (*memo["subspace"][:2], memo["subspace"][2] - 1)
    assert subspace(query, np.ones(3), stack, some) == pytest.approx(np.add(expected, 1))

    fresh = stack_of(stack.of_document(0), stack.of_document(1))
    for background, ridge in ((other, 1.0), (None, 1.0), (some, 1.0), (some, 2.0)):
        cached = subspace(query, np.ones(3), stack, background, ridge)
        assert cached.tolist() == subspace(query, np.ones(3), fresh, background, ridge).tolist()
