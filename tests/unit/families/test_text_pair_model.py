"""A cross-encoder of two texts: how texts are cut, counted and kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from reranker.errors import InferenceError
from reranker.families.base import ScoreOptions
from reranker.families.text_pair_model import TextPairModel


class Lengths(TextPairModel):
    definition = "lengths"

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        return [len(query) + len(document) / 100 for query, document in pairs]


def run(_: object) -> object:
    raise AssertionError("there is no network to run")


def test_documents_are_cut_at_so_many_words_and_short_ones_left_as_they_are() -> None:
    reading = Lengths().read(ScoreOptions("a query", 3))
    cut, short, empty = reading.prepare(["one  two three\nfour", "one  two ", ""])
    assert (cut.document, cut.count, cut.truncated) == ("one two three", 3, True)
    assert (short.document, short.count, short.truncated) == ("one  two ", 2, False)
    assert (empty.document, empty.count, empty.truncated) == ("", 0, False)
    assert [each.length for each in (cut, short, empty)] == [5, 4, 2]
    assert {each.query for each in (cut, short, empty)} == {"a query"}
    assert (reading.query_tokens, reading.query_truncated) == (2, False)


def test_results_depend_on_query_and_cut() -> None:
    model = Lengths()
    scopes = {
        model.read(ScoreOptions(query, most)).scope for query in ("a", "b") for most in (1, 2)
    }
    assert len(scopes) == 4
    assert model.read(ScoreOptions("a", 1)).scope in scopes


def test_a_batch_has_one_record_for_each_pair_in_order() -> None:
    model = Lengths()
    items = model.read(ScoreOptions("ab", 2)).prepare(["x", "x y z", ""])
    records = model.forward(items, run)  # type: ignore[arg-type]
    assert [record.logit for record in records] == pytest.approx([2.01, 2.03, 2.0])
    assert [(record.count, record.truncated) for record in records] == [
        (1, False),
        (2, True),
        (0, False),
    ]
    outputs = model.outputs(records)
    assert outputs.dtype == np.float32
    assert outputs.shape == (3,)
    for record in records:
        kept = model.codec.decode(model.codec.encode(record)[""])
        assert kept is not None
        assert kept.logit == pytest.approx(record.logit)
        assert (kept.count, kept.truncated) == (record.count, record.truncated)


def test_samples_are_cut_to_the_length_that_is_asked_for() -> None:
    items = Lengths().sample_items(["one two three four", "one"], 2)
    assert [item.count for item in items] == [2, 1]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_scores_is_an_error_that_counts_them(count: int) -> None:
    class Wrong(Lengths):
        def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
            return [1.0] * count

    items = Wrong().read(ScoreOptions("a", 2)).prepare(["x", "y"])
    with pytest.raises(InferenceError, match=f"returned {count} scores for 2 pairs"):
        Wrong().forward(items, run)  # type: ignore[arg-type]
