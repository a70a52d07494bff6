"""Field readers: lenient in form, never guessing what is meant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from reranker.errors import InvalidRequest
from reranker_server.dialects import lenient_fields as fields
from reranker_server.errors import TooLarge

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "content"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(values)
def test_readers_reject_or_return_what_they_say(value):
    for read, kind in (
        (fields.read_count, int),
        (fields.read_flag, bool),
        (fields.read_text, str),
        (fields.read_query, str),
        (fields.read_list, list),
    ):
        try:
            found = read(value)
        except PydanticCustomError:
            continue
        assert found is None or isinstance(found, kind)
    content = fields.read_content(value)
    assert content is None or isinstance(content, str)


@pytest.mark.parametrize(
    ("value", "count"), [("5", 5), (5.0, 5), (0, 0), (10**400, 10**400), (None, None)]
)
def test_counts_as_clients_send_them(value: Any, count: int | None) -> None:
    assert fields.read_count(value) == count


@pytest.mark.parametrize("value", [-1, "-1", "x", 1.5, True, "9" * 30, []])
def test_what_is_no_count(value: Any) -> None:
    with pytest.raises(PydanticCustomError, match="whole number"):
        fields.read_count(value)


def test_a_document_that_is_none_is_named_by_its_place() -> None:
    with pytest.raises(InvalidRequest, match=r"passages\[1\] must be") as caught:
        fields.parse_documents(["a", 7], ("text",), 10, "passages")
    assert caught.value.param == "passages[1]"


def test_an_object_without_the_fields_is_ranked_on_all_it_has() -> None:
    (document,) = fields.parse_documents([{"a": "x", "b": "y"}], ("text",), 10, "documents")
    assert document.text == "x\ny"


def test_too_many_documents() -> None:
    with pytest.raises(TooLarge, match="3 documents, at most 2"):
        fields.parse_documents(["a"] * 3, ("text",), 2, "documents")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"truncate": False}, "truncate"),
        ({"truncate": "NONE"}, "truncate"),
        ({"truncation": "false"}, "truncation"),
        ({"truncate": "END"}, None),
        ({"truncation": True}, None),
        ({}, None),
    ],
)
def test_who_forbids_cutting(body: dict[str, Any], field: str | None) -> None:
    sent = fields.TruncationFields.model_validate(body)
    assert sent.forbidden_by == field
    sent.check_truncated("texts", [])
    if field is None:
        sent.check_truncated("texts", [1], query_truncated=True)
        return
    with pytest.raises(InvalidRequest, match=rf"texts\[1\] is too long.*{field}"):
        sent.check_truncated("texts", [1, 2])
    with pytest.raises(InvalidRequest, match="query is too long"):
        sent.check_truncated("texts", [1], query_truncated=True)
