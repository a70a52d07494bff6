import math

import numpy as np
import pytest

from reranker.pipeline.fusion import (
    Calibration,
    Term,
    WeightedSum,
    fit_calibration,
    reciprocal_rank_fusion,
)


def test_a_weighted_sum_standardises_with_its_own_constants():
    fusion = WeightedSum(
        {"a": Term(mean=1, deviation=2, weight=3), "b": Term(mean=-1, deviation=0.5, weight=0.1)},
        Calibration(slope=2, intercept=-1),
    )

    logits = fusion.logits({"a": np.array([5.0, 1.0]), "b": np.array([0.0, -1.0])})

    assert logits.tolist() == [2 * (3 * (5 - 1) / 2 + 0.1 * (0 + 1) / 0.5) - 1, -1]


def test_features_without_weight_are_neither_needed_nor_counted():
    fusion = WeightedSum({"a": Term(0, 1, 1), "b": Term(0, 1, 0)})

    assert fusion.feature_names == ("a",)
    assert fusion.logits({"a": np.array([2.0])}).tolist() == [2.0]
    assert fusion.logits({"a": np.array([2.0]), "b": np.array([np.nan])}).tolist() == [2.0]


def test_a_missing_feature_is_an_error():
    with pytest.raises(KeyError):
        WeightedSum({"a": Term(0, 1, 1)}).logits({"b": np.array([2.0])})


@pytest.mark.parametrize("values", [(0, 0, 1), (0, 1, -1), (math.nan, 1, 1), (0, math.inf, 1)])
def test_constants_out_of_range_are_refused(values):
    with pytest.raises(ValueError, match="must be"):
        Term(*values)


@pytest.mark.parametrize("values", [(0, 0), (-1, 0), (1, math.nan), (math.inf, 0)])
def test_calibrations_that_would_change_the_order_are_refused(values):
    with pytest.raises(ValueError, match="must be"):
        Calibration(*values)


def test_reciprocal_ranks_are_summed_and_equal_scores_share_a_rank():
    fused = reciprocal_rank_fusion([np.array([0.9, 0.5, 0.5]), np.array([1.0, 2.0, 3.0])], k=60)

    assert fused == pytest.approx([1 / 61 + 1 / 63, 1 / 62 + 1 / 62, 1 / 62 + 1 / 61])


def test_reciprocal_ranks_need_a_list():
    with pytest.raises(ValueError, match="no list"):
        reciprocal_rank_fusion([])


def test_calibration_recovers_the_sigmoid_that_made_the_labels():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=20_000)
    relevant = rng.random(20_000) < 1 / (1 + np.exp(-(1.7 * scores - 2.0)))

    found = fit_calibration(scores, relevant)

    assert (found.slope, found.intercept) == pytest.approx((1.7, -2.0), abs=0.1)


def test_a_weight_counts_like_that_many_documents():
    scores = np.array([0.0, 1.0, 2.0, 3.0])
    relevant = np.array([False, True, False, True])
    weights = np.array([1.0, 2.0, 1.0, 1.0])

    repeated = fit_calibration(np.repeat(scores, [1, 2, 1, 1]), np.repeat(relevant, [1, 2, 1, 1]))

    weighted = fit_calibration(scores, relevant, weights)
    assert weighted.slope == pytest.approx(repeated.slope, abs=0.1)


def test_separable_classes_still_give_finite_constants():
    found = fit_calibration(np.array([0.0, 0.0, 1.0, 1.0]), np.array([False, False, True, True]))

    assert math.isfinite(found.slope)


@pytest.mark.parametrize("relevant", [[True, True], [False, False]])
def test_one_class_alone_cannot_be_calibrated(relevant):
    with pytest.raises(ValueError, match="both"):
        fit_calibration(np.array([0.0, 1.0]), np.array(relevant))


def test_scores_that_fall_with_relevance_cannot_be_calibrated():
    with pytest.raises(ValueError, match="rise"):
        fit_calibration(np.array([0.0, 1.0, 2.0]), np.array([True, False, False]))
