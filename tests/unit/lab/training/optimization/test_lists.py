from dataclasses import replace

import numpy as np
import pytest

from lab.training.corpus.prepare import Material
from lab.training.corpus.teacher import CLS, SEP
from lab.training.optimization.batches import lay_out
from lab.training.optimization.lists import NEGATIVES, ListSource


def test_the_same_seed_and_step_draw_the_same_lists(material: Material, idf: np.ndarray) -> None:
    drawn = [ListSource([material], idf, seed=1).draw(5, 4) for _ in range(2)]
    for one, other in zip(*drawn, strict=True):
        assert np.array_equal(one.query, other.query)
        for a, b in zip(one.examples, other.examples, strict=True):
            assert np.array_equal(a.document, b.document)


def test_lists_never_hold_held_out_passages(material: Material, idf: np.ndarray) -> None:
    held = [material.passages.tokens[material.passages.span(i)] for i in material.held_out]
    source = ListSource([material], idf, seed=1)
    for step in range(10):
        for one in source.draw(step, 4):
            assert len(one.examples) == NEGATIVES + 1
            assert not any(np.array_equal(e.document, h) for e in one.examples for h in held)


def test_lists_never_hold_what_is_unsure(material: Material, idf: np.ndarray) -> None:
    unsure = tuple(range(20, 30))
    queries = tuple(replace(query, unsure=unsure) for query in material.queries)
    source = ListSource([changed := replace(material, queries=queries)], idf, seed=1)
    shut = {tuple(material.passages.tokens[material.passages.span(i)]) for i in unsure}
    drawn = [one for step in range(10) for one in source.draw(step, 4)]
    for one in (*drawn, source.dev_list(changed, 3, 12)):
        assert shut.isdisjoint(tuple(example.document) for example in one.examples)


def test_a_query_unsure_of_most_passages_still_gets_a_whole_list(
    material: Material, idf: np.ndarray
) -> None:
    unsure = tuple(range(10, 39))  # leaves eight or nine of forty
    queries = tuple(replace(query, unsure=unsure) for query in material.queries)
    source = ListSource([replace(material, queries=queries)], idf, seed=1)
    for step in range(10):
        assert {len(one.examples) for one in source.draw(step, 4)} == {NEGATIVES + 1}


def test_a_sentence_that_became_the_query_is_removed_from_its_passage(
    material: Material, idf: np.ndarray
) -> None:
    example = ListSource([material], idf, seed=1).example(material, 1, 1, 160, best=False)
    whole = material.passages.tokens[material.passages.span(1)]
    assert np.array_equal(example.document, whole[10:])


def test_documents_are_cut_to_the_window(material: Material, idf: np.ndarray) -> None:
    example = ListSource([material], idf, seed=1).example(material, 0, 7, 12, best=True)
    assert len(example.document) == 12


def test_batches_frame_each_pair(material: Material, idf: np.ndarray) -> None:
    drawn = ListSource([material], idf, seed=1).draw(0, 3)
    batch = lay_out(drawn, chunks=2)
    pairs = [(one.query, e) for one in drawn for e in one.examples]
    assert sorted(int(p) for c in batch.chunks for p in c.pairs) == list(range(len(pairs)))
    for chunk in batch.chunks:
        for row, place in enumerate(chunk.pairs):
            query, example = pairs[int(place)]
            framed = [CLS, *query, SEP, CLS, *example.document, SEP]
            assert chunk.ids[row, : len(framed)].tolist() == framed
            assert int(chunk.mask[row].sum()) == len(framed)
            assert int(chunk.types[row].sum()) == len(example.document) + 2
    assert batch.soft.shape == (3, NEGATIVES + 1)
    assert batch.share.tolist() == pytest.approx([0.3] * 3)
