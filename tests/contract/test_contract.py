"""What every method promises, whatever it computes; on the embedded pair."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.plugins import install

from reranker import (
    DeadlineExceeded,
    InferenceError,
    InvalidRequest,
    ModelPool,
    Pipeline,
    PluginError,
    Ranking,
    Reranker,
    RerankRequest,
    Settings,
    Stage,
    StageOutput,
    register,
    sigmoid_scale,
)
from reranker.pipeline import registry

from .conftest import CASES, WITH_MODELS, Case

Rank = Callable[..., Ranking]
reads_with_models = pytest.mark.parametrize("case", WITH_MODELS, ids=str, indirect=True)
TOLERANCE = 1e-4
QUERY = "how do machines learn from examples?"
DOCUMENTS = [
    "Machine learning fits a model to examples, so that it can predict what it has not seen.",
    "The bakery opens at seven and sells rye bread.",
    "A neural network is trained by gradient descent.",
    "Paris is the capital of France.",
    "Supervised learning needs labelled examples; reinforcement learning needs a reward.",
    "Rain is expected in the north tomorrow.",
    "Decision trees split the data by one feature at a time, again and again.",
    "He parked the car.",
]


def scores(ranking: Ranking) -> dict[int, float]:
    return {scored.index: scored.score for scored in ranking}


def check_order(ranking: Ranking) -> None:
    """Best first, ties by index, each index once, scores finite and in [0, 1]."""
    pairs = [(-scored.score, scored.index) for scored in ranking]
    assert [pair[0] for pair in pairs] == sorted(pair[0] for pair in pairs)
    assert len({index for _, index in pairs}) == len(pairs)
    assert all(math.isfinite(score) and 0.0 <= -score <= 1.0 for score, _ in pairs)


def test_the_four_methods_and_one_without_models_are_among_those_tested() -> None:
    assert {"fast", "standard", "optimal", "best", "keywords"} <= {case.method for case in CASES}
    assert registry.get("keywords").roles == ()


def test_ranks_all_best_first_on_the_documented_scale(rank: Rank, case: Case) -> None:
    ranking = rank(QUERY, DOCUMENTS)
    check_order(ranking)
    assert sorted(scores(ranking)) == list(range(len(DOCUMENTS)))
    assert ranking.method == case.method
    assert all(scored.document.original == DOCUMENTS[scored.index] for scored in ranking)
    assert all(type(scored.score) is float for scored in ranking)


@reads_with_models
def test_tells_documents_apart(rank: Rank) -> None:
    assert len({round(score, 5) for score in scores(rank(QUERY, DOCUMENTS)).values()}) > 4


def test_the_order_of_the_input_does_not_matter(rank: Rank) -> None:
    straight = {DOCUMENTS[index]: score for index, score in scores(rank(QUERY, DOCUMENTS)).items()}
    for seed in range(2):
        shuffled = random.Random(seed).sample(DOCUMENTS, len(DOCUMENTS))
        ranking = rank(QUERY, shuffled)
        check_order(ranking)
        for index, score in scores(ranking).items():
            assert score == pytest.approx(straight[shuffled[index]], abs=TOLERANCE)


def test_duplicates_have_the_same_score_and_their_own_index(rank: Rank) -> None:
    documents = [DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[0]]
    ranking = rank(QUERY, documents)
    found = scores(ranking)
    assert found[0] == found[2] == found[4]
    assert found[1] == found[3]
    places = [scored.index for scored in ranking]
    assert [i for i in places if i % 2 == 0] == [0, 2, 4]
    assert [i for i in places if i % 2 == 1] == [1, 3]


def test_ties_come_in_the_order_of_the_request(rank: Rank) -> None:
    ranking = rank(QUERY, [DOCUMENTS[2]] * 7)
    assert [scored.index for scored in ranking] == list(range(7))
    assert len(set(scores(ranking).values())) == 1


def test_one_document_is_ranked(rank: Rank) -> None:
    ranking = rank(QUERY, [DOCUMENTS[0]])
    assert [scored.index for scored in ranking] == [0]
    check_order(ranking)


def test_a_document_scores_the_same_alone_and_in_company(rank: Rank) -> None:
    together = scores(rank(QUERY, [*DOCUMENTS, "word " * 120]))
    for index, document in enumerate(DOCUMENTS):
        alone = rank(QUERY, [document])[0].score
        assert alone == pytest.approx(together[index], abs=TOLERANCE)


def test_blank_documents_come_last_and_leave_the_others_as_they_are(rank: Rank) -> None:
    blanks = ["", "   ", "\x00\x01\x02", "\u200b\u2028", "\n\t"]
    documents = [DOCUMENTS[0], *blanks[:3], DOCUMENTS[1], *blanks[3:]]
    ranking = rank(QUERY, documents)
    check_order(ranking)
    found = scores(ranking)
    assert [scored.index for scored in ranking][2:] == [1, 2, 3, 5, 6]
    lowest = min(found.values())
    assert {found[i] for i in (1, 2, 3, 5, 6)} == {lowest}
    without = scores(rank(QUERY, DOCUMENTS[:2]))
    assert found[0] == pytest.approx(without[0], abs=TOLERANCE)
    assert found[4] == pytest.approx(without[1], abs=TOLERANCE)


def test_only_blank_documents_are_ranked_too(rank: Rank) -> None:
    ranking = rank(QUERY, ["", " ", "\x07"])
    assert [scored.index for scored in ranking] == [0, 1, 2]
    check_order(ranking)


ODD = {
    "emoji": "learning \U0001f916\U0001f468\u200d\U0001f469\u200d\U0001f467\U0001f1eb\U0001f1f7",
    "only emoji": "\U0001f916\U0001f993",
    "right to left": "\u0627\u0644\u062a\u0639\u0644\u0645 \u0627\u0644\u0622\u0644\u064a \u202e!",
    "lone surrogates": "machine \ud800 learning \udfff",
    "only a lone surrogate": "\ud83d",
    "controls": "machine\x00learning\x07\x1b[31m\r\n",
    "no letters": "?!... --- ***",
    "one word without end": "x" * 5_000,
    "combining": "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324" * 20,
    "special tokens": "[CLS] machine [SEP] learning [PAD] [MASK] </s>",
    "private use": "\ue000\uf8ff",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_odd_text_is_ranked_and_echoed_untouched(rank: Rank, text: str) -> None:
    ranking = rank(QUERY, [text, DOCUMENTS[0], text])
    check_order(ranking)
    found = scores(ranking)
    assert found[0] == found[2]
    assert {scored.index: scored.document.original for scored in ranking}[0] == text
    alone = rank(QUERY, [DOCUMENTS[0]])[0].score
    assert found[1] == pytest.approx(alone, abs=TOLERANCE)


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
def test_odd_text_can_be_the_query(rank: Rank, text: str) -> None:
    check_order(rank(text, [text, *DOCUMENTS[:2]], explain=True))


@reads_with_models
def test_a_megabyte_is_cut_marked_and_no_burden_to_the_others(rank: Rank) -> None:
    huge = "machine learning from examples and more examples. " * 20_000
    assert len(huge) >= 1_000_000
    start = time.monotonic()
    ranking = rank(QUERY, [DOCUMENTS[1], huge, DOCUMENTS[0]])
    assert time.monotonic() - start < 30
    check_order(ranking)
    assert ranking.truncated == (1,)
    assert {scored.index for scored in ranking if scored.truncated} == {1}
    without = scores(rank(QUERY, [DOCUMENTS[1], DOCUMENTS[0]]))
    assert scores(ranking)[2] == pytest.approx(without[1], abs=TOLERANCE)


@reads_with_models
def test_a_query_longer_than_the_window_is_cut_and_reported(rank: Rank) -> None:
    ranking = rank("how do machines learn? " * 2_000, DOCUMENTS[:3])
    check_order(ranking)
    assert any("query" in warning for warning in ranking.warnings)
    assert not any("query" in warning for warning in rank(QUERY, DOCUMENTS[:3]).warnings)
    assert ranking.truncated == ()  # the documents still fit in their share


@reads_with_models
def test_max_tokens_per_doc_cuts_the_document_and_says_which(rank: Rank) -> None:
    ranking = rank(QUERY, [DOCUMENTS[0], "short", DOCUMENTS[4]], max_tokens_per_doc=4)
    check_order(ranking)
    assert ranking.truncated == (0, 2)
    assert rank(QUERY, DOCUMENTS, max_tokens_per_doc=100_000).truncated == ()


def test_top_n_is_a_prefix_of_the_whole_and_more_than_there_are_means_all(rank: Rank) -> None:
    whole = [scored.index for scored in rank(QUERY, DOCUMENTS)]
    assert [scored.index for scored in rank(QUERY, DOCUMENTS, top_n=3)] == whole[:3]
    assert [scored.index for scored in rank(QUERY, DOCUMENTS, top_n=10**9)] == whole


def test_a_threshold_keeps_what_reaches_it(rank: Rank) -> None:
    whole = rank(QUERY, DOCUMENTS)
    bound = whole[3].score
    # Half a tolerance below, as the same document may differ in its last bits from run to run.
    kept = rank(QUERY, DOCUMENTS, score_threshold=bound - TOLERANCE / 2)
    expected = {scored.index for scored in whole if scored.score >= bound - TOLERANCE / 2}
    assert set(scores(kept)) == expected
    assert len(rank(QUERY, DOCUMENTS, score_threshold=0.0)) == len(DOCUMENTS)
    assert len(rank(QUERY, [*DOCUMENTS, ""], score_threshold=0.0)) == len(DOCUMENTS) + 1
    assert len(rank(QUERY, DOCUMENTS, score_threshold=1.5)) == 0


def test_only_what_leaves_stage_one_comes_back_of_two_stages(rank: Rank, case: Case) -> None:
    ranking = rank(QUERY, DOCUMENTS, stage1_top_k=3)
    two_stage = registry.get(case.method).two_stage
    assert len(ranking) == (3 if two_stage else len(DOCUMENTS))
    assert ranking.stage1_top_k == (3 if two_stage else None)
    assert len(rank(QUERY, DOCUMENTS, stage1_top_k=3, top_n=2)) == 2


def test_the_size_of_batches_does_not_change_a_score(rank: Rank) -> None:
    expected = scores(rank(QUERY, DOCUMENTS))
    for size in (1, 3, 10_000):
        found = scores(rank(QUERY, DOCUMENTS, batch_size=size))
        assert found == pytest.approx(expected, abs=TOLERANCE)


def test_objects_are_ranked_on_their_fields_and_echoed_whole(rank: Rank) -> None:
    sent: list[dict[str, Any]] = [
        {"title": "bread", "text": DOCUMENTS[1], "id": 1},
        {"title": "learning", "text": DOCUMENTS[0], "id": 2, "tags": ["a"]},
    ]
    ranking = rank(QUERY, sent)
    plain = scores(rank(QUERY, [DOCUMENTS[1], DOCUMENTS[0]]))
    assert scores(ranking) == pytest.approx(plain, abs=TOLERANCE)
    assert all(scored.document.original is sent[scored.index] for scored in ranking)
    titles = scores(rank(QUERY, sent, rank_fields=["title"]))
    assert titles == pytest.approx(scores(rank(QUERY, ["bread", "learning"])), abs=TOLERANCE)


def test_explanations_point_into_the_text(rank: Rank) -> None:
    for scored in rank(QUERY, DOCUMENTS, explain=True):
        assert scored.stages
        assert all(math.isfinite(value) for value in scored.stages.values())
        assert all(math.isfinite(value) for value in scored.features.values())
        for span in scored.spans:
            assert 0 <= span.start < span.end <= len(scored.document.text)


@reads_with_models
def test_usage_times_and_models_are_reported(rank: Rank) -> None:
    ranking = rank(QUERY, DOCUMENTS)
    assert ranking.usage.query_tokens > 0
    assert ranking.usage.document_tokens > len(DOCUMENTS)
    assert all(seconds >= 0 for seconds in ranking.seconds.values())
    assert ranking.models


def test_usage_counts_documents_that_best_reads_again(engine: Reranker) -> None:
    ranking = engine.rank(QUERY, DOCUMENTS, method="best", stage1_top_k=2)
    first = engine.rank(QUERY, DOCUMENTS, method="fast").usage
    again = engine.rank(QUERY, [DOCUMENTS[i] for i in scores(ranking)], method="fast").usage
    assert ranking.usage.query_tokens == first.query_tokens
    assert ranking.usage.document_tokens == first.document_tokens + again.document_tokens


def test_a_deadline_that_has_passed_ends_the_call(rank: Rank) -> None:
    with pytest.raises(DeadlineExceeded):
        rank(QUERY, DOCUMENTS, timeout=0.0)


@reads_with_models
def test_a_deadline_within_the_work_ends_it_in_time(rank: Rank) -> None:
    documents = [f"{document} {i}" * 10 for i in range(60) for document in DOCUMENTS]
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        rank(QUERY, documents, timeout=0.3, stage1_top_k=len(documents))
    assert time.monotonic() - start < 10
    check_order(rank(QUERY, DOCUMENTS[:2]))  # and the engine goes on


def test_an_invalid_request_is_refused_with_the_name_of_the_field(rank: Rank) -> None:
    for query, documents, options, param in (
        (" ", DOCUMENTS, {}, "query"),
        (QUERY, [], {}, "documents"),
        (QUERY, DOCUMENTS, {"top_n": 0}, "top_n"),
        (QUERY, DOCUMENTS, {"stage1_top_k": 0}, "stage1_top_k"),
        (QUERY, DOCUMENTS, {"max_tokens_per_doc": 0}, "max_tokens_per_doc"),
        (QUERY, DOCUMENTS, {"batch_size": 0}, "batch_size"),
        (QUERY, [{"other": 1}], {}, "documents"),
        (QUERY, DOCUMENTS, {"rank_fields": "title"}, "rank_fields"),
        (QUERY, "one string", {}, "documents"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            rank(query, documents, **options)
        assert caught.value.param == param


def test_many_threads_with_many_methods_get_each_their_own_result(engine: Reranker) -> None:
    queries = [QUERY, "what is the capital of France?", "bread", "weather"]

    def ask(case: Case, query: str) -> dict[int, float]:
        ranking = engine.rank(query, DOCUMENTS, method=case.method, model_cross=case.model_cross)
        return scores(ranking)

    requests = [(case, query) for case in CASES for query in queries]
    alone = [ask(*each) for each in requests]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda each: ask(*each), requests))
    for one, other in zip(alone, together, strict=True):
        assert other == pytest.approx(one, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.5], "its s stage returned scores of shape (1,) for 8 documents"),
        ([0.5] * 9, "its s stage returned scores of shape (9,) for 8 documents"),
        ([0.5] * 7 + [math.nan], "its s stage returned a score that is not finite"),
    ],
)
def test_a_method_that_returns_wrong_scores_is_named_and_the_others_work(
    engine: Reranker, rank: Rank, values: list[float], reason: str
) -> None:
    def wrong(request: RerankRequest, models: ModelPool) -> Pipeline:
        return Pipeline((Stage("s", lambda _: StageOutput(np.array(values))),), sigmoid_scale)

    register("wrong", roles=())(wrong)
    try:
        with pytest.raises(InferenceError) as caught:
            engine.rank(QUERY, DOCUMENTS, method="wrong")
        assert caught.value.message == f"method 'wrong' failed: {reason}"
        check_order(rank(QUERY, DOCUMENTS[:2]))
    finally:
        registry.unregister("wrong")


def test_a_plug_in_that_cannot_be_imported_is_named_and_the_others_work(
    engine: Reranker, rank: Rank, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        tmp_path / "broken", monkeypatch, {"broken": "broken_method"}, broken_method="import nobody"
    )
    with pytest.raises(PluginError) as caught:
        engine.rank(QUERY, DOCUMENTS, method="broken")
    assert caught.value.message == (
        "method 'broken' of package 'broken' cannot be imported: ModuleNotFoundError"
    )
    check_order(rank(QUERY, DOCUMENTS[:2]))
    methods, problems = registry.available()
    assert case.method in {method.name for method in methods}
    assert [problem.message for problem in problems] == [caught.value.message]


@pytest.fixture(scope="module")
def caching() -> Any:
    """An engine with a cache, so that ten thousand documents are computed once."""
    with Reranker(Settings(dtype="float32", offline=True, cache_mb=256)) as reranker:
        yield reranker


@pytest.mark.slow
def test_ten_thousand_short_documents_are_ranked(caching: Reranker, case: Case) -> None:
    documents = [f"item {i % 2_500}" for i in range(10_000)]
    ranking = caching.rank(
        "item 7", documents, method=case.method, model_cross=case.model_cross, top_n=5_000
    )
    check_order(ranking)
    found = scores(ranking)
    for index in list(found)[:50]:
        twins = {found[twin] for twin in range(index % 2_500, 10_000, 2_500) if twin in found}
        assert twins == {found[index]}
    assert len(ranking) == (100 if registry.get(case.method).two_stage else 5_000)
