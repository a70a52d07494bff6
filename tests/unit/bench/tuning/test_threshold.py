import numpy as np
import pytest
from scipy.special import logit

from reranker_bench.tuning.threshold import Goal, ThresholdError, find

# Two queries; scores .9 .8 .7 and .6 .5, relevant where marked. Sorted together:
# .9 yes, .8 no, .7 yes, .6 yes, .5 no, so precision is 1, 1/2, 2/3, 3/4, 3/5.
LOGITS = [logit(np.array([0.9, 0.8, 0.7])), logit(np.array([0.6, 0.5]))]
RELEVANT = [np.array([True, False, True]), np.array([True, False])]


@pytest.mark.parametrize(
    ("goal", "threshold", "precision", "recall"),
    [
        ("precision=0.7", 0.6, 3 / 4, 1.0),
        ("precision=0.6", 0.5, 3 / 5, 1.0),
        ("precision=1", 0.9, 1.0, 1 / 3),
        ("recall=0.6", 0.7, 2 / 3, 2 / 3),
        ("recall=1", 0.6, 3 / 4, 1.0),
    ],
)
def test_thresholds_by_hand(goal: str, threshold: float, precision: float, recall: float) -> None:
    found = find(Goal.parse(goal), LOGITS, RELEVANT)
    assert found.threshold == pytest.approx(threshold, abs=2e-4)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert found.precision_low <= found.precision <= found.precision_high
    assert found.of == 5


def test_a_threshold_counts_queries_that_keep_nothing() -> None:
    found = find(Goal("precision", 1.0), LOGITS, RELEVANT)
    assert (found.kept, found.emptied) == (1, 0.5)


def test_a_precision_out_of_reach_says_what_is_in_reach() -> None:
    with pytest.raises(
        ThresholdError, match=r"no threshold keeps a precision of 0\.9; at best 0\.500"
    ):
        find(Goal("precision", 0.9), [np.array([1.0, 1.0])], [np.array([True, False])])
    with pytest.raises(ThresholdError, match="no candidate is relevant"):
        find(Goal("recall", 0.9), [np.array([1.0])], [np.array([False])])


@pytest.mark.parametrize(
    "text", ["0.9", "precision", "precision=2", "precision=0", "f1=0.5", "recall=."]
)
def test_a_malformed_goal_is_refused(text: str) -> None:
    with pytest.raises(ThresholdError, match="write precision="):
        Goal.parse(text)
