import numpy as np
import pytest

from lab.training import scoring
from lab.training.corpus.negatives import bm25_candidates, cosine_candidates, interleave
from reranker_bench.data.beir import RetrievalSet

SOURCE = RetrievalSet(
    name="tiny",
    corpus={"a": "x", "b": "y"},
    queries={"q": "x", "r": "y"},
    qrels={"q": {"a": 1}, "r": {"b": 1}},
    candidates={"q": ("b", "a"), "r": ("b", "a")},
)


def test_standardised_features_keep_their_order_and_add_up() -> None:
    features = {"f": {"q": np.array([1.0, 3.0]), "r": np.array([5.0, 7.0])}}
    unit = scoring.standardised(features)
    joined = np.concatenate(list(unit["f"].values()))
    assert joined.mean() == pytest.approx(0)
    assert joined.std() == pytest.approx(1)
    total = scoring.weighted(unit, {"f": 2.0})
    assert total["r"].tolist() == pytest.approx((2 * unit["f"]["r"]).tolist())


def test_gains_of_the_candidates_order() -> None:
    gains = scoring.ndcg_by_query(SOURCE, scoring.order_scores(SOURCE, ("q", "r")))
    assert gains == {"q": pytest.approx(1 / np.log2(3)), "r": 1.0}


def test_the_interval_holds_the_mean() -> None:
    low, high = scoring.interval([0.0, 1.0] * 50)
    assert 0.35 < low < 0.5 < high < 0.65
    assert scoring.interval([0.5] * 9) == (0.5, 0.5)


def test_candidates_by_words_and_by_vectors() -> None:
    texts = ["wing lift drag", "heat transfer slab", "heat shield"]
    found = bm25_candidates(texts, ["lift of a wing"], k=2)
    assert found[0, 0] == 0
    unit = np.eye(3, dtype=np.float32)
    assert cosine_candidates(unit, unit[1:2], k=1).tolist() == [[1]]


def test_interleaving_takes_turns_and_keeps_the_first_mention() -> None:
    first, second = np.array([[1, 2, 3]]), np.array([[1, 4, 2]])
    assert interleave(first, second) == [[1, 2, 4, 3]]


def test_a_sample_keeps_whole_queries() -> None:
    assert scoring.sample(SOURCE, None) is SOURCE
    drawn = scoring.sample(SOURCE, 1)
    assert len(drawn.queries) == 1
    assert set(drawn.qrels) == set(drawn.queries) == set(drawn.judged_queries())
    assert drawn == scoring.sample(SOURCE, 1)
