from random import Random

import numpy as np
import pytest

from lab.training.corpus.queries import Query
from lab.training.corpus.related import (
    CLOSE,
    FAR,
    found_among,
    related_queries,
    similarity_of_terms,
)

TOPICS = [
    "wing flutter aeroelastic stability",
    "aeroelastic wing flutter suppression",
    "library catalogue indexing",
    "catalogue indexing thesaurus library",
    "wing thesaurus",
    "",
]
OWN = [Query("topic", text, (n,)) for n, text in enumerate(TOPICS) if text]
TEXTS = [f"Passage {n} about its own matter." for n in range(len(TOPICS))]


@pytest.fixture(scope="module")
def near() -> np.ndarray:
    return similarity_of_terms(TOPICS)


def test_shared_rare_terms_make_passages_related(near: np.ndarray) -> None:
    assert near[0, 1] > CLOSE
    assert near[2, 3] > CLOSE
    assert near[0, 2] == 0
    assert near[0, 1] > near[0, 4] > 0


def test_similarity_is_a_share_and_symmetric(near: np.ndarray) -> None:
    assert np.allclose(near, near.T)
    assert not near.diagonal().any()
    assert near.min() >= 0
    assert near.max() <= 1
    assert not near[5].any()


def test_a_query_asks_for_other_passages_than_its_own() -> None:
    made = related_queries(TEXTS, OWN, set(), Random(3))
    by_text = {q.text: q for q in made}
    assert by_text[TOPICS[0]].positives == (1,)
    assert 0 in by_text[TOPICS[0]].unsure
    assert all(q.kind == "related" and not set(q.positives) & set(q.unsure) for q in made)


def test_what_is_neither_related_nor_not_is_unsure(near: np.ndarray) -> None:
    between = {int(i) for i in np.flatnonzero((near[0] > FAR) & (near[0] < CLOSE))}
    (made,) = (q for q in related_queries(TEXTS, OWN, set(), Random(3)) if q.positives == (1,))
    assert set(made.unsure) == between | {0, 5}  # itself, and the one without terms


def test_held_out_passages_yield_no_query() -> None:
    made = related_queries(TEXTS, OWN, {0, 1}, Random(3))
    assert {q.text for q in made}.isdisjoint(TOPICS[:2])
    assert {q.text for q in made} >= {TOPICS[2], TOPICS[3]}


def test_only_candidates_count_as_related() -> None:
    query = Query("related", "wing flutter", (1, 4, 7))
    found = found_among(query, [4, 9])
    assert found.positives == (4,)
    assert found.unsure == (1, 7)
    assert found_among(query, [9]).positives == ()
    other = Query("topic", "wing flutter", (1,))
    assert found_among(other, [9]) is other
