"""Bodies: one budget for all, JSON without what it cannot say, errors that name the field."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from reranker.errors import InvalidRequest, Overloaded
from reranker_server.dialects.lenient_fields import Count, LenientModel, TextList, named
from reranker_server.errors import BadBody, NoDocuments
from reranker_server.http.body import BodyBudget, parse_json, to_json, validate


def test_bodies_in_memory_are_bounded_all_together():
    budget = BodyBudget(100)
    with budget.reserve() as reserve:
        reserve(60)
        reserve(40)
        with budget.reserve() as other, pytest.raises(Overloaded):
            other(1)
        assert budget.reserved == 100
    assert budget.reserved == 0


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b'{"a": NaN}', b'{"a": 1e999}', b"\xff", b'{"a":' * 100]
)
def test_what_is_no_json_object_is_rejected(raw: bytes) -> None:
    with pytest.raises(BadBody):
        parse_json(raw)


def test_what_was_parsed_can_be_written() -> None:
    payload = {"a": ["\ud800", "\U0001f600", 1.5, None, True], "b": {"c": "\u00e9"}}
    raw = json.dumps(payload).encode()
    assert parse_json(to_json(parse_json(raw))) == payload


class Inner(LenientModel):
    """An object within a body."""

    size: Count = named("size", "length")


class Strict(BaseModel):
    """A body of every kind of field."""

    name: str
    number: Annotated[int, Field(strict=True, ge=1)] = 1
    inner: Inner = Inner()
    numbers: list[Annotated[int, Field(strict=True)]] = []
    texts: TextList = ["a"]


@pytest.mark.parametrize(
    ("payload", "message", "param"),
    [
        ({}, "name is missing", "name"),
        ({"name": "a", "number": 0}, "number must be at least 1", "number"),
        ({"name": "a", "number": "1"}, "number must be a whole number", "number"),
        ({"name": "a", "numbers": [1, "2"]}, "numbers[1] must be a whole number", "numbers[1]"),
        (
            {"name": "a", "inner": {"length": "x"}},
            "inner.length must be a whole number of at least 0",
            "inner.length",
        ),
        ({"name": "a", "texts": 7}, "texts must be a list of strings or objects", "texts"),
    ],
)
def test_an_error_names_the_first_field_as_it_was_sent(
    payload: dict[str, object], message: str, param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        validate(Strict, payload)
    assert (caught.value.message, caught.value.param) == (message, param)


def test_an_empty_list_of_documents_has_an_error_of_its_own() -> None:
    with pytest.raises(NoDocuments, match="texts must hold at least one document"):
        validate(Strict, {"name": "a", "texts": []})


def test_nulls_and_unknown_fields_count_as_absent_in_lenient_bodies() -> None:
    assert validate(Inner, {"size": None, "length": "5", "other": 1}).size == 5
    assert validate(Inner, {"size": None}).size is None
