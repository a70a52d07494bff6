"""Properties of the batch plan."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reranker.scheduling.batching import padding_ratio, plan, spread

LENGTHS = st.lists(st.integers(0, 600), max_size=80)
BUDGETS = st.integers(1, 2000)


@given(LENGTHS, BUDGETS)
def test_every_item_is_in_exactly_one_batch(lengths: list[int], budget: int) -> None:
    batches = plan(lengths, budget)
    assert sorted(item for batch in batches for item in batch) == list(range(len(lengths)))
    assert all(batches)


@given(LENGTHS, BUDGETS)
def test_a_batch_of_several_keeps_the_budget(lengths: list[int], budget: int) -> None:
    for batch in plan(lengths, budget):
        longest = max(lengths[item] for item in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget


@given(LENGTHS, BUDGETS)
def test_an_item_over_the_budget_stands_alone(lengths: list[int], budget: int) -> None:
    for batch in plan(lengths, budget):
        if any(lengths[item] > budget for item in batch):
            assert len(batch) == 1


@given(st.data(), LENGTHS, BUDGETS)
def test_no_item_is_in_a_batch_larger_than_its_limit(
    data: st.DataObject, lengths: list[int], budget: int
) -> None:
    size = len(lengths)
    limits = data.draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))
    for batch in plan(lengths, budget, limits):
        assert len(batch) <= min(limits[item] for item in batch)


@given(LENGTHS, BUDGETS)
def test_batches_run_from_the_longest_items_to_the_shortest(
    lengths: list[int], budget: int
) -> None:
    flat = [lengths[item] for batch in plan(lengths, budget) for item in batch]
    assert flat == sorted(lengths, reverse=True)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80), BUDGETS)
def test_no_neighbouring_batches_could_have_been_one(lengths: list[int], budget: int) -> None:
    batches = plan(lengths, budget)
    for first, second in itertools.pairwise(batches):
        longest = max(lengths[item] for item in first)
        assert longest * (len(first) + 1) > budget, (first, second)


@given(st.lists(st.integers(1, 600), min_size=1, max_size=80), BUDGETS)
def test_padding_ratio_counts_what_the_padded_tensor_holds(lengths: list[int], budget: int) -> None:
    batches = plan(lengths, budget)
    cells = 0
    for batch in batches:
        tensor = np.zeros((len(batch), max(lengths[item] for item in batch)))
        cells += tensor.size
    assert padding_ratio(lengths, batches) == pytest.approx(cells / sum(lengths))
    assert padding_ratio(lengths, batches) >= 1


def test_equal_lengths_fill_the_budget_exactly() -> None:
    assert [len(batch) for batch in plan([10] * 10, 40)] == [4, 4, 2]


def test_nothing_to_do_makes_no_batch_and_no_padding() -> None:
    assert plan([], 100) == []
    assert padding_ratio([], []) == 1.0
    assert padding_ratio([0, 0], [[0, 1]]) == 1.0


def test_sorting_spares_padding() -> None:
    lengths = [10, 500] * 20
    unsorted = [list(range(i, i + 2)) for i in range(0, 40, 2)]
    assert padding_ratio(lengths, plan(lengths, 1000)) == 1.0
    assert padding_ratio(lengths, unsorted) > 1.9


@given(LENGTHS.filter(bool), st.integers(600, 8000), st.sampled_from([1, 2, 4]))
def test_spreading_never_exceeds_the_budget_nor_adds_needless_batches(
    lengths: list[int], budget: int, concurrent_batches: int
) -> None:
    found = spread(lengths, budget, concurrent_batches)
    assert found <= budget
    fewest = len(plan(lengths, budget))
    assert len(plan(lengths, found)) <= -(-fewest // concurrent_batches) * concurrent_batches


def test_work_is_split_evenly_among_concurrent_batches() -> None:
    lengths = [60 - i for i in range(20)]
    assert len(plan(lengths, 4096)) == 1
    padded = [lengths[b[0]] * len(b) for b in plan(lengths, spread(lengths, 4096, 2))]
    assert len(padded) == 2
    assert max(padded) <= 1.15 * min(padded)


def test_little_work_stays_together() -> None:
    assert len(plan([10] * 12, spread([10] * 12, 4096, 4))) == 1
