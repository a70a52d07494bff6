"""Documents, requests and calls: what is taken, what is refused, and with which field named."""

from __future__ import annotations

import threading
import time
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reranker.errors import Cancelled, DeadlineExceeded, InvalidRequest
from reranker.types import (
    Document,
    Ranking,
    RequestContext,
    RerankRequest,
    ScoredDocument,
    Usage,
    clean,
    is_blank,
)

DOCUMENTS = (Document.of("text"),)


def request(**fields: Any) -> RerankRequest:
    return RerankRequest(**{"query": "q", "documents": DOCUMENTS, "model": "m", **fields})


def test_a_string_is_its_own_text() -> None:
    assert Document.of("plain text") == Document("plain text", "plain text")


def test_an_object_is_ranked_on_text_and_echoed_whole() -> None:
    sent = {"text": "body", "id": 7, "meta": {"a": [1]}}
    document = Document.of(sent)
    assert document.text == "body"
    assert document.original is sent


def test_rank_fields_make_the_text_in_their_order_one_a_line() -> None:
    sent = {"body": "b", "title": "t", "other": "o"}
    assert Document.of(sent, ("title", "body")).text == "t\nb"
    assert Document.of(sent, ("body", "title")).text == "b\nt"


def test_fields_that_are_missing_or_null_are_left_out() -> None:
    assert Document.of({"title": "t", "body": None}, ("title", "body", "tags")).text == "t"


def test_an_object_whose_only_field_is_null_is_blank_and_not_an_error() -> None:
    assert Document.of({"text": None}).is_blank


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (2.5, "2.5"),
        (True, "true"),
        (["a", "b"], "a, b"),
        ([], ""),
        ([1, "b"], '[1, "b"]'),
        ({"b": 1, "a": "\u00e9"}, '{"a": "\u00e9", "b": 1}'),
    ],
)
def test_a_field_that_is_no_string_is_written_out_the_same_every_time(
    value: object, text: str
) -> None:
    assert Document.of({"text": value}).text == text


def test_an_object_without_any_of_the_fields_is_refused_and_they_are_named() -> None:
    with pytest.raises(InvalidRequest, match=r"'title', 'body'.*rank_fields") as caught:
        Document.of({"text": "t"}, ("title", "body"))
    assert caught.value.param == "documents"


@pytest.mark.parametrize("value", [None, 3, 2.5, b"bytes", ["text"], ("text",)])
def test_what_is_neither_text_nor_object_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest, match="string or an object"):
        Document.of(value)  # type: ignore[arg-type]


def test_a_field_that_cannot_be_written_out_is_refused() -> None:
    circle: dict[str, object] = {}
    circle["self"] = circle
    for field in ({1: "a", "b": 2}, circle):
        with pytest.raises(InvalidRequest, match="cannot be written"):
            Document.of({"text": field})


def test_a_document_is_read_once() -> None:
    made = Document.of({"title": "t"}, ("title",))
    assert Document.of(made, ("body",)) is made


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("\ud800abc", "\ufffdabc"),
        ("a\udc00b", "a\ufffdb"),
        ("x\ud83d", "x\ufffd"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),  # an escaped pair is one character
        ("\ufeffhi\ud800", "\ufeffhi\ufffd"),
    ],
)
def test_lone_surrogates_are_replaced_and_pairs_joined(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected
    assert Document.of(dirty).text == expected
    assert Document.of(dirty).original == dirty
    assert Document.of({"text": dirty}).text == expected
    assert request(query=dirty).query == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


@given(st.text(st.characters(codec=None)))
def test_a_cleaned_text_can_always_be_encoded(text: str) -> None:
    clean(text).encode()


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\t\r", "\x00\x07", "\u200b\u200d\ufeff", "\u2028\u2029", "\u202e\u202c", "\u3000"],
)
def test_spaces_controls_and_format_characters_are_blank(text: str) -> None:
    assert is_blank(text)
    with pytest.raises(InvalidRequest, match="query must not be blank") as caught:
        request(query=text)
    assert caught.value.param == "query"


@pytest.mark.parametrize(
    "text", ["a", ".", "\U0001f993", "\ufffd", " \x00 x", "\ue000", "\U0001faea", "\u0301"]
)
def test_anything_that_shows_is_not_blank(text: str) -> None:
    # Private and unassigned code points are icons, or characters newer than Python's tables.
    assert not is_blank(text)
    assert request(query=text).query == text


def test_a_huge_text_is_taken_in_little_time() -> None:
    start = time.monotonic()
    assert Document.of(" " * 2_000_000).is_blank
    assert not Document.of("word " * 400_000 + "\ud800").is_blank
    assert time.monotonic() - start < 5


def test_no_documents_are_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        request(documents=())
    assert caught.value.param == "documents"


@pytest.mark.parametrize("name", ["top_n", "stage1_top_k", "max_tokens_per_doc", "batch_size"])
@pytest.mark.parametrize("value", [0, -1])
def test_numbers_below_one_are_refused_by_name(name: str, value: int) -> None:
    fields = (
        {"context": RequestContext(batch_size=value)} if name == "batch_size" else {name: value}
    )
    with pytest.raises(InvalidRequest, match=f"{name} must be at least 1") as caught:
        request(**fields)
    assert caught.value.param == name


def test_a_threshold_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        request(score_threshold=float("nan"))
    assert caught.value.param == "score_threshold"
    assert request(score_threshold=0.0).score_threshold == 0.0


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        request().query = "other"  # type: ignore[misc]


def test_a_call_without_a_deadline_has_all_the_time() -> None:
    context = RequestContext()
    context.check()
    assert not context.over
    assert context.remaining() == float("inf")


def test_a_call_past_its_deadline_is_over() -> None:
    context = RequestContext(deadline=time.monotonic() - 0.01)
    assert context.over
    with pytest.raises(DeadlineExceeded):
        context.check()


def test_a_cancelled_call_is_over_for_that_reason() -> None:
    event = threading.Event()
    context = RequestContext(deadline=time.monotonic() - 1, cancelled=event)
    event.set()
    with pytest.raises(Cancelled):
        context.check()


def test_usage_adds_up() -> None:
    total = Usage(1, 20, 3) + Usage(4, 50, 6)
    assert total == Usage(5, 70, 9)
    assert total.total_tokens == 75


def test_a_ranking_is_the_sequence_of_its_results() -> None:
    scored = tuple(ScoredDocument(i, 1.0 - i, DOCUMENTS[0]) for i in range(3))
    ranking = Ranking(scored, method="fast", model="m")
    assert list(ranking) == list(scored)
    assert (len(ranking), ranking[0], ranking[-1]) == (3, scored[0], scored[2])
    assert ranking[1:] == scored[1:]
    assert scored[1] in ranking
