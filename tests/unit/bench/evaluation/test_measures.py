import math

import pytest

from reranker_bench.evaluation import measures as quality


def test_ndcg_by_its_formula() -> None:
    qrels = {"q": {"a": 1, "b": 0, "c": 1}}
    run = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
    ideal = 1 + 1 / math.log2(3)
    assert quality.per_query(qrels, run)["q"] == pytest.approx((1 + 1 / math.log2(4)) / ideal)


def test_a_missing_query_counts_as_zero() -> None:
    qrels = {"q": {"a": 1}, "missed": {"a": 1}, "empty": {"a": 1}}
    values = quality.per_query(qrels, {"q": {"a": 1.0}, "empty": {}, "unjudged": {"a": 1.0}})
    assert values == {"q": 1.0, "missed": 0.0, "empty": 0.0}
    assert quality.mean(values) == pytest.approx(1 / 3)


def test_a_query_without_relevant_documents_is_left_out() -> None:
    assert quality.per_query({"q": {"a": 0}}, {"q": {"a": 1.0}}) == {}


def test_the_mean_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no query"):
        quality.mean({})


def test_a_run_of_ranked_documents_has_no_ties() -> None:
    run = quality.run_of({"q": ["b", "a", "c"], "empty": []})
    assert run == {"q": {"b": 3.0, "a": 2.0, "c": 1.0}, "empty": {}}


def test_all_measures_in_one_pass_agree_with_each_alone() -> None:
    qrels = {"q": {"a": 2, "b": 1}, "r": {"c": 1}, "missed": {"c": 1}}
    run = quality.run_of({"q": ["x", "a", "b"], "r": ["c"]})
    together = quality.all_per_query(qrels, run)
    assert list(together) == list(quality.MEASURES)
    for measure, values in together.items():
        assert values == quality.per_query(qrels, run, measure)
    assert together["RR@10"] == {"q": 0.5, "r": 1.0, "missed": 0.0}
    assert together["P@1"] == {"q": 0.0, "r": 1.0, "missed": 0.0}
    assert together["R@5"] == {"q": 1.0, "r": 1.0, "missed": 0.0}
    assert together["AP"]["q"] == pytest.approx((1 / 2 + 2 / 3) / 2)
