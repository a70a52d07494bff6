"""The pipeline: order, ties, blanks, thresholds, and how data flows from stage to stage."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import FakeBiEncoder

from reranker.errors import Cancelled, DeadlineExceeded, InferenceError
from reranker.families.roles import Encoded
from reranker.pipeline.pipeline import (
    BLANK_SCORE,
    Candidates,
    Pipeline,
    Stage,
    StageOutput,
)
from reranker.pipeline.stages import sigmoid_scale
from reranker.types import Document, Ranking, RequestContext, RerankRequest, Span, Usage


def stage(name: str, scores: dict[int, float], keep: int | None = None, **fields: Any) -> Stage:
    def score(candidates: Candidates) -> StageOutput:
        values = np.array([scores[int(i)] for i in candidates.indices], dtype=np.float32)
        return StageOutput(values, **fields)

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

    def score(candidates: Candidates) -> StageOutput:
        seen.extend(candidates.indices.tolist())
        return StageOutput(np.full(len(candidates), -5.0))

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
    message = "method 'mine' failed: its s stage returned a score that is not finite"
    with pytest.raises(InferenceError, match=message):
        rank([stage("s", {0: 1.0, 1: bad})], ["d", "d"], method="mine")
    with pytest.raises(InferenceError, match="its scale returned a score that is not finite"):
        rank([stage("s", {0: 1.0})], ["d"], scale=lambda values: values * bad)


@pytest.mark.parametrize(
    "values", [np.zeros(2), np.zeros(4), np.zeros((3, 1)), np.float64(1)], ids=np.shape
)
def test_a_wrong_number_of_scores_is_an_error_that_names_the_method(values: np.ndarray) -> None:
    wrong = Stage("s", lambda _: StageOutput(values))
    reason = re.escape(f"returned scores of shape {values.shape} for 3 documents")
    with pytest.raises(InferenceError, match=f"method 'mine' failed: its s stage {reason}"):
        rank([wrong], ["d", "", "d", "d"], method="mine")
    with pytest.raises(InferenceError, match=f"its scale {reason}"):
        rank([stage("s", dict.fromkeys(range(3), 1.0))], ["d"] * 3, scale=lambda _: values)


@pytest.mark.parametrize("kind", [np.uint8, np.bool_, np.int64, np.float32, np.float64])
def test_scores_of_every_numeric_type_are_ranked(kind: type) -> None:
    counted = Stage("s", lambda _: StageOutput(np.array([0, 1, 0], dtype=kind)))
    assert order(rank([counted], ["d"] * 3)) == [1, 0, 2]


def test_ranks_on_the_raw_score_where_the_scale_saturates() -> None:
    ranking = rank([stage("s", {0: 60.0, 1: 90.0, 2: 75.0})], ["d"] * 3, scale=sigmoid_scale)
    assert order(ranking) == [1, 2, 0]
    assert all(scored.score <= 1.0 for scored in ranking)


@pytest.mark.parametrize("names", [(), ("a", "b", "a")])
def test_stages_have_names_of_their_own(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a name of its own"):
        Pipeline(tuple(stage(name, {}) for name in names), sigmoid_scale)


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


def test_usage_adds_up_and_equal_warnings_are_given_once() -> None:
    fields = {"usage": Usage(1, 10, 2), "warnings": ("cut",)}
    both = [stage("a", {0: 1.0}, **fields), stage("b", {0: 1.0}, **fields)]
    ranking = rank(both, ["d"])
    assert ranking.usage == Usage(2, 20, 4)
    assert ranking.warnings == ("cut",)
    assert {"a", "b"} <= set(ranking.seconds)


def test_a_stage_gets_the_outputs_of_the_stages_before_it_row_by_row() -> None:
    def encoded(texts: list[str]) -> Encoded:
        return FakeBiEncoder().encode(
            texts, kind="document", max_tokens=None, tokens=True, context=RequestContext()
        )

    def first(candidates: Candidates) -> StageOutput:
        assert candidates.previous == {}
        values = np.array([float(len(text)) for text in candidates.texts])
        return StageOutput(
            values, {"half": values / 2}, values > 2, embeddings=encoded(candidates.texts)
        )

    def second(candidates: Candidates) -> StageOutput:
        assert list(candidates.previous) == ["a"]
        return StageOutput(candidates.previous["a"].values * [0, 1, 2, 0])

    def third(candidates: Candidates) -> StageOutput:
        a, b = candidates.previous.values()
        assert candidates.texts == ["bbb", "aaaa", "dddd"]
        assert candidates.indices.tolist() == [2, 1, 0]
        assert b.values.tolist() == [6.0, 4.0, 0.0]
        assert a.values.tolist() == [3.0, 4.0, 4.0]
        assert a.features["half"].tolist() == [1.5, 2.0, 2.0]
        assert a.truncated is not None
        assert a.truncated.tolist() == [True] * 3
        assert a.embeddings is not None
        expected = encoded(candidates.texts)
        assert a.embeddings.vectors.tolist() == expected.vectors.tolist()
        assert a.embeddings.distinct.tolist() == expected.distinct.tolist()
        assert a.embeddings.truncated.tolist() == expected.truncated.tolist()
        assert [each.ids.tolist() for each in a.embeddings.tokens or ()] == [
            each.ids.tolist() for each in expected.tokens or ()
        ]
        return StageOutput(np.zeros(3))

    documents = ["dddd", "aaaa", "bbb", "cc", ""]
    stages = [Stage("a", first, keep=4), Stage("b", second, keep=3), Stage("c", third)]
    ranking = rank(stages, documents)
    assert order(ranking) == [0, 1, 2]
    assert ranking[2].stages == {"a": 3.0, "b": 6.0, "c": 0.0}


def test_equal_texts_stay_known_as_equal_when_a_stage_keeps_some() -> None:
    def first(candidates: Candidates) -> StageOutput:
        encoded = FakeBiEncoder().encode(
            candidates.texts, kind="document", max_tokens=9, tokens=False, context=RequestContext()
        )
        return StageOutput(np.array([1.0, 5.0, 4.0, 3.0, 2.0]), embeddings=encoded)

    def second(candidates: Candidates) -> StageOutput:
        assert candidates.texts == ["y", "x", "y", "z"]
        embeddings = candidates.previous["a"].embeddings
        assert embeddings is not None
        assert embeddings.distinct.tolist() == [0, 1, 0, 2]
        return StageOutput(np.zeros(4))

    stages = [Stage("a", first, keep=4), Stage("b", second)]
    assert order(rank(stages, ["x", "y", "x", "y", "z"])) == [1, 2, 3, 4]


def test_truncated_documents_are_listed_and_marked() -> None:
    def score(candidates: Candidates) -> StageOutput:
        indices = candidates.indices
        return StageOutput(-indices.astype(float), truncated=indices % 2 == 1)

    ranking = rank([Stage("s", score)], ["d"] * 4)
    assert ranking.truncated == (1, 3)
    assert [scored.truncated for scored in ranking] == [False, True, False, True]


def test_spans_are_computed_only_to_explain_and_for_the_right_document() -> None:
    computed: list[int] = []

    def spans(row: int) -> tuple[Span, ...]:
        computed.append(row)
        return (Span(row, row + 1, 1.0),)

    first = stage("a", {0: 1.0, 1: 3.0, 2: 2.0}, spans=spans)
    second = stage("b", {0: 3.0, 1: 1.0, 2: 2.0}, keep=2)
    for stages, best in (([first], 1), ([first, second], 0)):
        assert rank(stages, ["d"] * 3)[0].spans == ()
        assert computed == []
        ranking = rank(stages, ["d"] * 3, explain=True, top_n=1)
        assert ranking[0].spans == (Span(best, best + 1, 1.0),)
        assert computed == [best]
        computed.clear()


def test_a_deadline_is_looked_at_before_every_stage() -> None:
    context = RequestContext()

    def score(candidates: Candidates) -> StageOutput:
        context.cancelled.set()
        return StageOutput(np.zeros(len(candidates)))

    with pytest.raises(Cancelled):
        rank([Stage("a", score), stage("b", {0: 1.0})], ["d"], context=context)
    with pytest.raises(DeadlineExceeded):
        rank([stage("a", {0: 1.0})], ["d"], context=RequestContext(deadline=0.0))
