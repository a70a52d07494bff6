import numpy as np
import pytest

from reranker_methods.features.feedback import feedback


def feedback_by_hand(cosines, vectors, depth):
    scores = []
    for j in range(len(cosines)):
        others = sorted((k for k in range(len(cosines)) if k != j), key=lambda k: (-cosines[k], k))
        centroid = sum((vectors[k] for k in others[:depth]), np.zeros(vectors.shape[1]))
        length = np.linalg.norm(centroid)
        scores.append(float(vectors[j] @ centroid) / length if length else 0.0)
    return scores


@pytest.mark.parametrize("count", [2, 3, 4, 9])
def test_equals_the_formula_spelled_out(count):
    rng = np.random.default_rng(count)
    vectors = rng.normal(size=(count, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = rng.normal(size=count)

    assert feedback(cosines, vectors) == pytest.approx(feedback_by_hand(cosines, vectors, 3))


def test_a_lone_document_scores_zero():
    assert feedback(np.array([0.5]), np.ones((1, 8), np.float32)).tolist() == [0.0]
