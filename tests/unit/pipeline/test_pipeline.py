"""The pipeline: order, ties, blanks, thresholds, and what a request is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reranker.errors import Cancelled, DeadlineExceeded, InferenceError
from reranker.pipeline.pipeline import (
    BLANK_SCORE,
    Pipeline,
    Stage,
    StageOutput,
    cosine_scale,
    sigmoid_scale,
)
from reranker.types import Document, Ranking, RequestContext, RerankRequest, Span, Usage


def stage(name: str, scores: dict[int, float], keep: int | None = None, **said: Any) -> Stage:
    def score(indices: np.ndarray) -> StageOutput:
        return StageOutput(np.array([scores[int(i)] for i in indices], dtype=np.float32), **said)

    return Stage(name, score, keep)


def rank(
    stages: Sequence[Stage],
    documents: Sequence[str],
    scale: Callable[[np.ndarray], np.ndarray] = lambda values: values,
    **fields: Any,
) -> Ranking:
    request = RerankRequest(
        query="q", documents=tuple(map(Document.of, documents)), model="m", **fields
    )
    return Pipeline(tuple(stages), scale).run(request)


def order(ranking: Ranking) -> list[int]:
    return [scored.index for scored in ranking]


def test_best_comes_first_and_ties_come_in_the_order_of_the_request() -> None:
    scores = {0: 0.5, 1: 0.9, 2: 0.5, 3: 0.9, 4: 0.5}
    assert order(rank([stage("s", scores)], ["d"] * 5)) == [1, 3, 0, 2, 4]


@given(st.lists(st.sampled_from([-1.0, 0.0, -0.0, 0.25, 3.0]), min_size=1, max_size=30))
def test_the_order_is_that_of_a_stable_sort(values: list[float]) -> None:
    ranking = rank([stage("s", dict(enumerate(values)))], ["d"] * len(values))
    assert order(ranking) == sorted(range(len(values)), key=lambda i: (-values[i], i))
    assert sorted(order(ranking)) == list(range(len(values)))


def test_ties_survive_two_stages() -> None:
    first = {0: 0.1, 1: 0.9, 2: 0.5, 3: 0.9}
    second = dict.fromkeys(range(4), 1.0)
    assert order(rank([stage("a", first, keep=3), stage("b", second)], ["d"] * 4)) == [1, 2, 3]


def test_blank_documents_come_last_by_index_with_the_lowest_score_and_meet_no_model() -> None:
    seen: list[int] = []

    def score(indices: np.ndarray) -> StageOutput:
        seen.extend(indices.tolist())
        return StageOutput(np.full(len(indices), -5.0))

    ranking = rank([Stage("s", score)], ["a", " ", "b", "", "\x00"], scale=sigmoid_scale)
    assert seen == [0, 2]
    assert order(ranking) == [0, 2, 1, 3, 4]
    assert [scored.score for scored in ranking][2:] == [BLANK_SCORE] * 3
    assert ranking[0].score > BLANK_SCORE


def test_only_blank_documents_run_no_stage() -> None:
    ranking = rank([stage("s", {})], ["", " "])
    assert order(ranking) == [0, 1]
    assert "s" not in ranking.seconds


def test_a_stage_keeps_its_best_and_the_others_do_not_come_back() -> None:
    first = {i: float(i) for i in range(6)}
    second = {5: 0.0, 4: 2.0, 3: 1.0}
    ranking = rank([stage("a", first, keep=3), stage("b", second)], ["d"] * 6)
    assert order(ranking) == [4, 3, 5]


def test_blanks_fill_what_stage_one_leaves_room_for() -> None:
    first = {0: 1.0, 2: 2.0}
    assert order(rank([stage("a", first, keep=3)], ["d", "", "d", "", ""])) == [2, 0, 1]
    assert order(rank([stage("a", first, keep=1)], ["d", "", "d", "", ""])) == [2]


def test_keeping_more_than_there_are_keeps_all() -> None:
    assert order(rank([stage("a", {0: 1.0, 1: 2.0}, keep=99)], ["d", "d"])) == [1, 0]


@pytest.mark.parametrize(("top_n", "count"), [(1, 1), (3, 3), (99, 5), (None, 5)])
def test_top_n_bounds_the_results(top_n: int | None, count: int) -> None:
    scores = {i: float(i) for i in range(5)}
    assert len(rank([stage("s", scores)], ["d"] * 5, top_n=top_n)) == count


def test_the_threshold_is_inclusive_and_applies_before_top_n() -> None:
    scores = {0: 0.5, 1: 0.25, 2: 0.75}
    assert order(rank([stage("s", scores)], ["d"] * 3, score_threshold=0.5)) == [2, 0]
    assert order(rank([stage("s", scores)], ["d"] * 3, score_threshold=0.5, top_n=1)) == [2]
    assert order(rank([stage("s", scores)], ["d"] * 3, score_threshold=0.9)) == []


def test_zero_is_a_threshold_and_none_is_not() -> None:
    scores = {0: -1.0, 1: 0.0, 2: 1.0}
    assert order(rank([stage("s", scores)], ["d"] * 3, score_threshold=0.0)) == [2, 1]
    assert order(rank([stage("s", scores)], ["d"] * 3)) == [2, 1, 0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_is_an_error(bad: float) -> None:
    with pytest.raises(InferenceError, match="the s stage"):
        rank([stage("s", {0: 1.0, 1: bad})], ["d", "d"])


def test_ranks_on_the_raw_score_where_the_scale_saturates() -> None:
    ranking = rank([stage("s", {0: 60.0, 1: 90.0, 2: 75.0})], ["d"] * 3, scale=sigmoid_scale)
    assert order(ranking) == [1, 2, 0]
    assert all(scored.score <= 1.0 for scored in ranking)


def test_scales_stay_within_zero_and_one() -> None:
    wild = np.array([-1e9, -1.0000001, -1.0, 0.0, 1.0, 1.0000001, 1e9])
    for scale in (cosine_scale, sigmoid_scale):
        made = scale(wild)
        assert (made >= 0).all()
        assert (made <= 1).all()
        assert (np.diff(made) >= 0).all()
    assert cosine_scale(np.array([-1.0, 0.0, 1.0])).tolist() == [0.0, 0.5, 1.0]
    assert sigmoid_scale(np.array([0.0])).tolist() == [0.5]


def test_scores_are_plain_floats_and_indices_plain_integers() -> None:
    ranking = rank([stage("s", {0: 1.0}, features={"f": np.ones(1, np.float32)})], ["d"])
    assert type(ranking[0].score) is float
    assert type(ranking[0].index) is int
    assert type(ranking[0].stages["s"]) is float
    assert type(ranking[0].features["f"]) is float


def test_each_result_has_the_raw_score_of_every_stage_that_saw_it() -> None:
    ranking = rank([stage("a", {0: 1.0, 1: 2.0}), stage("b", {0: 20.0, 1: 10.0})], ["d", "d"])
    assert ranking[0].stages == {"a": 1.0, "b": 20.0}
    assert ranking[1].stages == {"a": 2.0, "b": 10.0}


def test_usage_adds_up_and_warnings_are_said_once() -> None:
    said = {"usage": Usage(1, 10, 2), "warnings": ("cut",)}
    both = [stage("a", {0: 1.0}, **said), stage("b", {0: 1.0}, **said)]
    ranking = rank(both, ["d"])
    assert ranking.usage == Usage(2, 20, 4)
    assert ranking.warnings == ("cut",)
    assert {"a", "b"} <= set(ranking.seconds)


def test_truncated_documents_are_listed_and_marked() -> None:
    def score(indices: np.ndarray) -> StageOutput:
        return StageOutput(-indices.astype(float), truncated=indices % 2 == 1)

    ranking = rank([Stage("s", score)], ["d"] * 4)
    assert ranking.truncated == (1, 3)
    assert [scored.truncated for scored in ranking] == [False, True, False, True]


def test_spans_are_made_only_when_asked_for_and_for_the_right_document() -> None:
    asked: list[int] = []

    def spans(position: int) -> tuple[Span, ...]:
        asked.append(position)
        return (Span(position, position + 1, 1.0),)

    made = stage("s", {0: 1.0, 1: 3.0, 2: 2.0}, spans=spans)
    assert rank([made], ["d"] * 3)[0].spans == ()
    assert asked == []
    ranking = rank([made], ["d"] * 3, explain=True, top_n=1)
    assert ranking[0].spans == (Span(1, 2, 1.0),)
    assert asked == [1]


def test_a_deadline_is_looked_at_before_every_stage() -> None:
    call = RequestContext()

    def score(indices: np.ndarray) -> StageOutput:
        call.cancelled.set()
        return StageOutput(np.zeros(len(indices)))

    with pytest.raises(Cancelled):
        rank([Stage("a", score), stage("b", {0: 1.0})], ["d"], context=call)
    with pytest.raises(DeadlineExceeded):
        rank([stage("a", {0: 1.0})], ["d"], context=RequestContext(deadline=0.0))
