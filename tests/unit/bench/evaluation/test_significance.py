"""The p-value and interval of small examples, worked out by hand."""

import itertools
import math

import numpy as np
import pytest

from reranker_bench.evaluation import significance


def exact_p(differences: list[float]) -> float:
    """Share of all swaps that go at least as far: what the random swaps estimate."""
    seen = abs(sum(differences))
    signs = itertools.product((-1, 1), repeat=len(differences))
    far = [abs(sum(s * d for s, d in zip(row, differences, strict=True))) >= seen for row in signs]
    return sum(far) / len(far)


def test_p_of_four_equal_gains_is_an_eighth() -> None:
    # Of the 16 ways to swap four gains of .1 only all-plus and all-minus reach a mean of .1.
    assert exact_p([0.1] * 4) == 2 / 16
    p = significance.randomisation_p([np.full(4, 0.1)], resamples=100_000)
    assert p == pytest.approx(2 / 16, abs=0.004)


def test_p_agrees_with_all_swaps_counted() -> None:
    differences = [0.75, -0.25, 0.5, 0.125, 1.0, -0.5]
    p = significance.randomisation_p([np.array(differences)], resamples=100_000)
    assert p == pytest.approx(exact_p(differences), abs=0.006)


def test_p_is_count_plus_one_over_n_plus_one() -> None:
    # 40 gains of one sign: no random swap gets there, so count is 0.
    assert significance.randomisation_p([np.full(40, 0.5)], resamples=99) == 1 / 100
    # No difference at all: every swap gets there.
    assert significance.randomisation_p([np.zeros(5)], resamples=99) == 1.0


def test_the_interval_of_two_values_by_hand() -> None:
    # Resamples of (0, 1) have means 0, .5, 1 with odds 1:2:1, so the 2.5 % tails are 0 and 1.
    assert significance.bootstrap_interval([np.array([0.0, 1.0])]) == (0.0, 1.0)
    # The middle half lies within the quartiles of that: .25 quantile 0 or .5, by symmetry 1 - it.
    low, high = significance.bootstrap_interval([np.array([0.0, 1.0])], level=0.4)
    assert (low, high) == (0.5, 0.5)


def test_the_interval_is_near_the_normal_one_for_many_queries() -> None:
    values = np.random.default_rng(0).normal(0.1, 0.3, 400)
    low, high = significance.bootstrap_interval([values])
    half = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.003)
    assert high == pytest.approx(values.mean() + half, abs=0.003)


def test_strata_count_alike_whatever_their_size() -> None:
    found = significance.paired_difference([np.full(3, 0.6), np.full(300, 0.0)], resamples=99)
    assert found.mean == pytest.approx(0.3)
    assert (found.wins, found.ties, found.losses) == (3, 300, 0)


def test_equal_seeds_give_equal_answers_in_any_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [np.random.default_rng(1).normal(size=30)]
    whole = significance.paired_difference(values, resamples=500)
    assert significance.paired_difference(values, resamples=500) == whole
    assert significance.paired_difference(values, resamples=500, seed=1) != whole
    monkeypatch.setattr(significance, "_CELLS", 900)
    assert significance.paired_difference(values, resamples=500).p == pytest.approx(
        whole.p, abs=0.05
    )


def test_a_difference_by_rounding_is_a_tie() -> None:
    found = significance.paired_difference([np.array([0.1 + 0.2 - 0.3, 0.5])], resamples=99)
    assert (found.wins, found.ties, found.losses) == (1, 1, 0)


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .04 times 3, 2, 1 is .03 .04 .04; none may fall below the one before.
    assert significance.holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert significance.holm([0.6, 0.5]) == [1.0, 1.0]
    assert significance.holm([]) == []


@pytest.mark.parametrize("strata", [[], [np.array([])], [np.array([np.nan])]])
def test_nothing_to_compare_is_an_error(strata: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"at least one query|not finite"):
        significance.paired_difference(strata)
