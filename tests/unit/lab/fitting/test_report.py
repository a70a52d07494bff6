import numpy as np
import pytest

from lab.fitting.report import calibration_error, cascade
from reranker_bench.tuning.features import tabulate
from reranker_bench.tuning.sample import Sample

SAMPLE = Sample(
    name="tiny",
    queries={"q": "x"},
    pools={"q": ("a", "b", "c", "d")},
    texts=dict.fromkeys("abcd", ""),
    grades={"q": {"d": 1}},
)


def test_calibration_error_weighs_bands_by_their_size() -> None:
    scores = np.array([0.5, 0.5, 0.9, 1.0])
    relevant = np.array([True, False, False, True])
    # Two bands: off by nothing, and by .95 - .5; half of the scores in each.
    assert calibration_error(scores, relevant) == pytest.approx(0.5 * 0.45)
    assert calibration_error(np.zeros(3), np.zeros(3, dtype=bool)) == 0


def test_a_cascade_reorders_only_what_stage_one_keeps() -> None:
    told: list[str] = []
    values = {
        "cosine": np.array([0.9, 0.8, 0.7, 0.6]),
        "cross_encoder": np.array([0.0, 1.0, 2.0, 3.0]),
    }
    cascade(told.append, [tabulate(SAMPLE, values)], depths=(2, 4))
    rows = [line.split(" | ")[1] for line in told if line.startswith("| `")]
    fourth, first = "0.431", "1.000"
    assert rows == [fourth, fourth, first, first]
