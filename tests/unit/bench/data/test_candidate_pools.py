import pytest

from reranker_bench.data.beir import DatasetError, RetrievalSet
from reranker_bench.data.candidate_pools import bm25_pools, dataset_of, spaced

CORPUS = {
    "a": "the ferry sails in winter",
    "b": "the ferry, the ferry and only the ferry",
    "c": "a battery for the bicycle",
    "d": "the ferry sails in winter",
}


def make(**changes: object) -> RetrievalSet:
    values: dict[str, object] = {
        "name": "tiny",
        "corpus": CORPUS,
        "queries": {"q1": "winter ferry", "q2": "bicycle", "q3": "zebra", "q4": "ferry"},
        "qrels": {"q1": {"a": 2, "c": 0}, "q2": {"c": 1}, "q3": {"a": 1}, "q4": {"a": 0}},
        "candidates": {},
    }
    return RetrievalSet(**{**values, **changes})  # type: ignore[arg-type]


def test_bm25_finds_by_words_and_breaks_ties_by_corpus_order() -> None:
    pools = bm25_pools(CORPUS, {"q": "winter ferry", "none": "zebra", "empty": "!?"}, size=10)
    assert pools == {"q": ("a", "d", "b"), "none": (), "empty": ()}
    assert bm25_pools(CORPUS, {"q": "winter ferry"}, size=1) == {"q": ("a",)}


def test_bm25_of_wordless_documents_finds_nothing() -> None:
    assert bm25_pools({"a": "!", "b": ""}, {"q": "word"}, 5) == {"q": ()}


def test_only_queries_with_a_relevant_document_count() -> None:
    found = dataset_of(make())
    assert list(found.queries) == ["q1", "q2", "q3"]
    assert found.missed == ("q3",)
    assert found.source == "BM25 top-100"
    assert set(found.texts) == {"a", "b", "c", "d"}


def test_candidates_are_taken_as_they_are() -> None:
    found = dataset_of(make(candidates={"q1": ("c", "a")}))
    assert found.pools == {"q1": ("c", "a"), "q2": (), "q3": ()}
    assert found.source == "candidates.run"
    assert found.ceiling("q1") == ("a", "c")


def test_the_digest_tells_tasks_apart() -> None:
    same = dataset_of(make())
    assert dataset_of(make()).digest == same.digest
    for other in (
        make(qrels={"q1": {"a": 1}, "q2": {"c": 1}, "q3": {"a": 1}}),
        make(candidates={"q1": ("c", "a")}),
        make(corpus={**CORPUS, "c": "a battery for the  bicycle"}),
    ):
        assert dataset_of(other).digest != same.digest


def test_a_set_without_relevant_documents_is_an_error() -> None:
    with pytest.raises(DatasetError, match="tiny: no query has a relevant document"):
        dataset_of(make(qrels={"q1": {"a": 0}}))


def test_a_limit_takes_items_evenly() -> None:
    assert spaced("abcdef", 3) == ("a", "c", "e")
    assert spaced("abc", 3) == spaced("abc", 9) == spaced("abc", None) == ("a", "b", "c")
