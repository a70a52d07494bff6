import numpy as np
import pytest

from reranker_bench.tuning.features import Table, tabulate
from reranker_bench.tuning.sample import Sample
from reranker_bench.tuning.weights import constants, fit

RNG = np.random.default_rng(0)
QUERIES, DEPTH = 60, 10


def table(name="one", noise=0.5) -> Table:
    """One relevant document a query; `good` and `fair` tell it, `none` does not, `bad` inverts."""
    ids = {f"q{i}": tuple(f"q{i}d{j}" for j in range(DEPTH)) for i in range(QUERIES)}
    grades = {q: {pool[i % DEPTH]: 1} for i, (q, pool) in enumerate(ids.items())}
    texts = {d: d for pool in ids.values() for d in pool}
    sample = Sample(name, {q: q for q in ids}, ids, texts, grades)
    told = np.array([grades[q].get(d, 0) for q in ids for d in ids[q]], dtype=float)
    noises = RNG.normal(size=(4, len(told)))
    return tabulate(
        sample,
        {
            "good": told + noise * noises[0],
            "fair": 10 * told + 20 * noise * noises[1],
            "none": noises[2],
            "bad": -told + noise * noises[3],
        },
    )


def test_weights_are_not_negative_sum_to_one_and_follow_what_a_feature_tells():
    fusion = fit([table()], ("good", "fair", "none", "bad"), pull=0.0)

    weights = {name: term.weight for name, term in fusion.terms.items()}
    assert sum(weights.values()) == pytest.approx(1, abs=2e-3)
    assert weights["good"] > weights["fair"] > weights["none"] >= weights["bad"] == 0


def test_a_strong_pull_makes_weights_equal():
    fusion = fit([table()], ("good", "fair"), pull=1e4)

    assert [term.weight for term in fusion.terms.values()] == pytest.approx([0.5, 0.5], abs=0.01)


def test_the_gradient_is_that_of_the_loss():
    from reranker_bench.tuning.weights import _listwise

    some = table()
    design = np.stack([some.values[name] for name in ("good", "fair")], axis=1)
    at, step = np.array([0.7, 0.2]), 1e-6
    _, gradient = _listwise(some, design, at)

    slopes = [
        (_listwise(some, design, at + move)[0] - _listwise(some, design, at - move)[0]) / (2 * step)
        for move in np.eye(2) * step
    ]
    assert gradient == pytest.approx(slopes, rel=1e-4)


def test_every_collection_has_the_same_say_in_the_constants():
    one, other = table(), table()
    other.values["good"] += 100

    mean, deviation = constants([one, other, other], "good")

    assert mean == pytest.approx(
        np.mean([one.values["good"].mean(), 2 * other.values["good"].mean()]) * 2 / 3, rel=1e-6
    )
    assert deviation > 40


def test_the_calibrated_score_is_the_share_that_is_relevant():
    some = table()
    fusion = fit([some], ("good",), pull=0.0)

    chances = 1 / (1 + np.exp(-fusion.logits(some.values)))

    assert chances.mean() == pytest.approx((some.relevant > 0).mean(), abs=0.01)


def test_ties_go_by_the_order_of_the_pool():
    some = table()

    found = some.ndcg(np.zeros(len(some.relevant)))

    assert found["q0"] == 1.0
    assert found["q1"] == pytest.approx(1 / np.log2(3))


def test_features_that_never_rise_with_relevance_are_refused():
    with pytest.raises(ValueError, match="none of bad"):
        fit([table()], ("bad",), pull=0.0)


def test_a_part_keeps_the_pairs_of_its_queries():
    some = table()

    part = some.only(["q3", "q1"])

    assert list(part.sample.queries) == ["q1", "q3"]
    assert part.offsets.tolist() == [0, 10, 20]
    assert part.values["good"].tolist() == [
        *some.values["good"][10:20],
        *some.values["good"][30:40],
    ]
