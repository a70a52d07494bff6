"""Medians, quartiles and ratios, worked out by hand."""

from __future__ import annotations

import pytest

from reranker_bench.speed.statistics import Spread, percentiles, ratio, spread


def test_median_and_quartiles() -> None:
    assert spread([5, 1, 4, 2, 3]) == Spread(median=3, low=2, high=4)
    assert spread([1, 2, 3, 4]) == Spread(median=2.5, low=1.75, high=3.25)
    assert spread([7]) == Spread(7, 7, 7)


def test_a_ratio_is_taken_repeat_by_repeat() -> None:
    # Twice as fast in each repeat, although the machine halved its speed in the last two: the
    # ratio of the medians would say 20 / 5.
    assert ratio([20, 20, 20, 10, 10], [10, 10, 5, 5, 5]) == Spread(median=2, low=2, high=2)
    assert ratio([3, 3, 3], [1, 2, 3]) == Spread(median=1.5, low=1.25, high=2.25)


def test_sides_of_different_length_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratio([1, 2], [1])


def test_percentiles_are_milliseconds() -> None:
    found = percentiles([each / 100 for each in range(1, 102)])
    assert found == {"p50_ms": 510, "p95_ms": 960, "p99_ms": 1000}


def test_json_has_four_digits() -> None:
    assert Spread(1.23456, 0.000123456, 98765.4).to_json() == {
        "median": 1.235,
        "low": 0.0001235,
        "high": 98770,
    }
