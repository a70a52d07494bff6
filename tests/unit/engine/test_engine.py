"""The front door: what it fills in, what it refuses, and which errors come out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from support.apps import pair_catalog
from support.fakes import FakeModels

from reranker import (
    InferenceError,
    InvalidRequest,
    ModelUnavailable,
    Reranker,
    Settings,
    UnknownMethod,
    UnknownModel,
)
from reranker.hub.base import ModelPool
from reranker.model_card import Role
from reranker.pipeline import registry
from reranker.pipeline.pipeline import Pipeline, Stage, StageOutput
from reranker.types import Document, Ranking, RerankRequest

SETTINGS = Settings(model="our-bi", model_cross="our-cross")


class ClosableModels(FakeModels):
    """A pool that notes that it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def seen() -> Iterator[list[RerankRequest]]:
    """Register methods that only note what they were asked."""
    asked: list[RerankRequest] = []

    def build(request: RerankRequest, models: ModelPool) -> Pipeline:
        asked.append(request)
        stage = Stage("s", lambda candidates: StageOutput(-candidates.indices.astype(float)))
        return Pipeline((stage,), lambda values: values)

    def broken(request: RerankRequest, models: ModelPool) -> Pipeline:
        raise ZeroDivisionError("of a secret document")

    methods: dict[str, tuple[registry.Builder, tuple[Role, ...]]] = {
        "plain": (build, ()),
        "crossing": (build, ("cross-encoder",)),
        "broken": (broken, ()),
        "modelled": (build, ("bi-encoder",)),
    }
    for name, (builder, roles) in methods.items():
        registry.register(name, roles=roles)(builder)
    yield asked
    for name in methods:
        registry.unregister(name)


def rank(documents: Sequence[Any] = ("a", "b"), **options: Any) -> Ranking:
    return Reranker(SETTINGS, ClosableModels()).rank("q", documents, **options)


def test_models_that_are_not_named_come_from_the_settings(seen: list[RerankRequest]) -> None:
    rank(method="plain")
    rank(method="crossing")
    rank(method="crossing", model="named", model_cross="named-cross")
    assert [(request.model, request.model_cross) for request in seen] == [
        ("our-bi", None),  # a method that can do without a cross-encoder is given none
        ("our-bi", "our-cross"),
        ("named", "named-cross"),
    ]


def test_every_option_reaches_the_method(seen: list[RerankRequest]) -> None:
    rank(
        [{"title": "t"}],
        method="plain",
        top_n=1,
        stage1_top_k=2,
        max_tokens_per_doc=3,
        batch_size=4,
        rank_fields=["title"],
        score_threshold=-5.0,
        explain=True,
        timeout=60,
    )
    (request,) = seen
    assert request.documents == (Document({"title": "t"}, "t"),)
    assert (request.top_n, request.stage1_top_k, request.max_tokens_per_doc) == (1, 2, 3)
    assert (request.score_threshold, request.explain) == (-5.0, True)
    assert request.context.batch_size == 4
    assert 50 < request.context.remaining() <= 60


def test_documents_may_come_from_a_generator(seen: list[RerankRequest]) -> None:
    ranking = Reranker(SETTINGS, ClosableModels()).rank(
        "q", (text for text in "abc"), method="plain"
    )
    assert [scored.document.text for scored in ranking] == ["a", "b", "c"]


def test_the_callers_documents_are_left_as_they_are(seen: list[RerankRequest]) -> None:
    documents = [{"text": "b", "tags": ["x"]}, {"text": "a"}]
    rank(documents, method="plain")
    assert documents == [{"text": "b", "tags": ["x"]}, {"text": "a"}]


def test_an_unknown_method_is_refused_before_anything_else() -> None:
    with pytest.raises(UnknownMethod):
        rank(method="nothing")


@pytest.mark.parametrize("one", ["a text", {"text": "a text"}, None, 7])
def test_one_document_is_not_a_list_of_documents(one: Any) -> None:
    with pytest.raises(InvalidRequest, match="documents is a list"):
        rank(one)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"method": None}, "method must be a string"),
        ({"top_n": "2"}, "top_n must be a whole number"),
        ({"stage1_top_k": 1.5}, "stage1_top_k must be a whole number"),
        ({"batch_size": "8"}, "batch_size must be a whole number"),
        ({"score_threshold": "high"}, "score_threshold must be a number"),
        ({"query": None}, "query must be a string"),
    ],
)
def test_what_is_of_the_wrong_type_is_refused_by_name(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        Reranker(models=FakeModels()).rank(**{"query": "q", "documents": ["a"], **fields})
    assert caught.value.param == next(iter(fields))


def test_an_error_of_ours_comes_out_as_it_is(seen: list[RerankRequest]) -> None:
    models = FakeModels(catalog=pair_catalog())
    with pytest.raises(UnknownModel, match="our-bi"):
        Reranker(SETTINGS, models).rank("q", ["a"], method="modelled")
    assert seen == []


def test_any_other_error_comes_out_as_a_failure_without_its_text(
    seen: list[RerankRequest],
) -> None:
    with pytest.raises(InferenceError) as caught:
        rank(method="broken")
    assert str(caught.value) == "method 'broken' failed: ZeroDivisionError"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_leaving_the_engine_closes_its_models() -> None:
    models = ClosableModels()
    with Reranker(SETTINGS, models):
        assert not models.closed
    assert models.closed


def test_a_closed_engine_refuses_work_and_says_why() -> None:
    engine = Reranker(Settings(dtype="float32", offline=True))
    engine.rank("q", ["a"])
    engine.close()
    for document in ("b", "a"):  # a cached one, too
        with pytest.raises(ModelUnavailable, match="shutting down"):
            engine.rank("q", [document])


def test_an_engine_closed_before_its_first_request_loads_nothing() -> None:
    engine = Reranker(Settings(dtype="float32", offline=True))
    engine.close()
    with pytest.raises(ModelUnavailable, match="shutting down"):
        engine.rank("q", ["a"])
    assert engine.models.states() == {}


def test_engines_do_not_share_their_models() -> None:
    with (
        Reranker(Settings(dtype="float32", offline=True)) as one,
        Reranker(Settings(dtype="float32", offline=True)) as other,
    ):
        one.rank("q", ["a"])
        one.close()
        assert len(other.rank("q", ["a"])) == 1


def test_an_engine_leaves_no_thread_of_a_model_behind() -> None:
    before = {thread.name for thread in threading.enumerate()}
    with Reranker(Settings(dtype="float32", offline=True)) as engine:
        engine.rank("q", ["a"], method="optimal")
    after = {thread.name for thread in threading.enumerate()} - before
    assert not any(name.startswith("model ") for name in after)
