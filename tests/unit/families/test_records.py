"""What is written down of a result is read back as it was, and rubbish is not read at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reranker.families.records import (
    POOLED,
    TOKENS,
    EmbeddingCodec,
    EmbeddingRecord,
    ScoreCodec,
    ScoreRecord,
)

EMBEDDING, SCORE = EmbeddingCodec(), ScoreCodec()
sizes = st.integers(0, 7)


def text(width: int, rows: int | None, token_width: int, weighed: bool) -> EmbeddingRecord:
    random = np.random.default_rng(width)
    tokens = None if rows is None else random.integers(-32767, 32767, (rows, token_width))
    count = rows or 0
    return EmbeddingRecord(
        vector=random.normal(size=width).astype(np.float32),
        count=count + 3,
        truncated=bool(width % 2),
        tokens=None if tokens is None else tokens.astype(np.int16),
        ids=random.integers(0, 2**31 - 1, count).astype(np.int32),
        spans=random.integers(0, 9, (count, 2)).astype(np.int32),
        weights=random.random(count, np.float32) if weighed and rows is not None else None,
    )


def assert_same(found: EmbeddingRecord | None, expected: EmbeddingRecord, *, tokens: bool) -> None:
    assert found is not None
    assert (found.count, found.truncated) == (expected.count, expected.truncated)
    np.testing.assert_array_equal(found.vector, expected.vector)
    assert (found.tokens is not None) == tokens
    if tokens:
        for name in ("tokens", "weights"):
            one, other = getattr(found, name), getattr(expected, name)
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_array_equal(one, other)
                assert one.shape == other.shape
                assert one.dtype == other.dtype
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.spans, expected.spans)
        assert EMBEDDING.size(found) == EMBEDDING.size(expected)


@given(st.integers(1, 9), st.one_of(st.none(), sizes), st.integers(1, 9), st.booleans())
def test_a_text_is_read_back_as_it_was(
    width: int, rows: int | None, token_width: int, weighed: bool
) -> None:
    record = text(width, rows, token_width, weighed)
    kinds = EMBEDDING.encode(record)
    assert_same(EMBEDDING.decode(kinds[POOLED]), record, tokens=False)
    assert (TOKENS in kinds) == (rows is not None)
    if rows is not None:
        assert_same(EMBEDDING.decode(kinds[TOKENS]), record, tokens=True)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(0, 9), st.booleans())
def test_a_pair_is_read_back_as_it_was(logit: float, count: int, truncated: bool) -> None:
    record = ScoreRecord(logit, count, truncated)
    assert SCORE.decode(SCORE.encode(record)[""]) == record


@given(st.binary(max_size=200))
def test_rubbish_is_never_an_error(data: bytes) -> None:
    for codec in (SCORE, EMBEDDING):
        codec.decode(data)


def test_what_was_cut_off_or_added_to_is_not_read() -> None:
    whole = EMBEDDING.encode(text(4, 3, 5, weighed=True))[TOKENS]
    assert EMBEDDING.decode(whole) is not None
    for end in range(len(whole)):
        assert EMBEDDING.decode(whole[:end]) is None
    assert EMBEDDING.decode(whole + b"\0") is None
    assert SCORE.decode(SCORE.encode(ScoreRecord(1.0, 2, True))[""] + b"\0") is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_not_read(bad: float) -> None:
    assert SCORE.decode(SCORE.encode(ScoreRecord(bad, 1, False))[""]) is None
    record = text(4, None, 1, weighed=False)
    record.vector[2] = bad
    assert EMBEDDING.decode(EMBEDDING.encode(record)[POOLED]) is None
