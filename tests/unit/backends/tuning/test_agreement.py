"""How far two outputs are apart, and what is still called the same."""

import numpy as np
import pytest

from reranker.backends.tuning.agreement import SAME_SCORES, TOLERANCE, difference


def test_logits_are_compared_as_a_share_of_one_and_their_size() -> None:
    one, other = np.float32([0.0, 9.0, -1.0]), np.float32([0.0, 9.0, -1.0])
    assert difference(one, other) == 0
    assert difference(np.float32([0.1]), np.float32([0.0])) == pytest.approx(0.1)
    assert difference(np.float32([10.0]), np.float32([9.0])) == pytest.approx(0.1)
    assert difference(np.float32([0.0, -10.0]), np.float32([0.0, -9.0])) == pytest.approx(0.1)


def test_vectors_are_compared_by_their_cosines() -> None:
    vectors = np.float32([[1, 0], [0, 1]])
    turned = np.float32([[0, 1], [-1, 0]])
    assert difference(turned, vectors) == pytest.approx(0), "cosines stay when all are turned"
    slanted = np.float32([[1, 0], [0.6, 0.8]])
    assert difference(slanted, vectors) == pytest.approx(0.6)
    assert difference(-slanted, vectors) == pytest.approx(0.6)


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_what_is_not_finite_agrees_with_nothing(shape: tuple[int, ...]) -> None:
    broken = np.full(shape, np.nan, np.float32)
    assert not difference(broken, np.ones(shape, np.float32)) <= TOLERANCE["int8"]


def test_what_is_measured_is_held_to_the_strictest_bound() -> None:
    assert SAME_SCORES == 1e-3
    assert min(TOLERANCE.values()) == SAME_SCORES
    assert TOLERANCE["int8"] > TOLERANCE["bfloat16"] > TOLERANCE["float32"]
