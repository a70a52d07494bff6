from random import Random

import pytest

from lab.training.corpus import queries
from lab.training.corpus.passages import sentences

PASSAGE = (
    "Wings generate lift in a moving stream. The boundary layer separates at high angles. "
    "Drag rises quickly after separation occurs. Engineers delay it with vortex generators."
)


def test_sentences_cover_the_text() -> None:
    spans = sentences(PASSAGE)
    assert len(spans) == 4
    assert "".join(PASSAGE[a:b] for a, b in spans) == PASSAGE


def test_a_sentence_query_names_the_sentence_to_remove() -> None:
    made = queries.sentence_query(7, PASSAGE, Random(0))
    assert made is not None
    (removed,) = made.removed
    assert made.text == PASSAGE[slice(*sentences(PASSAGE)[removed])].strip()
    assert made.positives == (7,)


def test_a_short_passage_has_no_sentence_query() -> None:
    assert queries.sentence_query(0, "One sentence only here today.", Random(0)) is None


def test_a_long_query_leaves_two_sentences_behind() -> None:
    made = queries.long_query(0, PASSAGE, "flow separation on wings", Random(1), words=(10, 40))
    assert made is not None
    assert made.text.startswith("flow separation on wings. ")
    assert 0 < len(made.removed) <= 2


def test_keywords_are_words_of_the_passage_that_others_share() -> None:
    idf = queries.word_idf([PASSAGE, PASSAGE, "Completely different matter entirely."])
    assert "completely" not in idf
    made = queries.keyword_query(0, PASSAGE, idf, Random(0))
    assert made is not None
    assert 2 <= len(made.text.split()) <= 6
    assert set(made.text.split()) <= {w.strip(".").lower() for w in PASSAGE.split()}


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_queries(seed: int) -> None:
    first = queries.sentence_query(0, PASSAGE, Random(seed))
    assert first == queries.sentence_query(0, PASSAGE, Random(seed))
