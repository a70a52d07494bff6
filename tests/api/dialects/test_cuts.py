"""Who says that no text may be cut is refused where one would be; all others have it cut."""

from __future__ import annotations

import sys

import pytest
from support.fakes import FakeModels

from reranker.operations import RankOperation
from reranker.types import Document, RerankRequest

from .conftest import DOCUMENTS, QUERY

LONG = "machine learning " * 50  # the doubles read 64 words
SENT = [DOCUMENTS[0], LONG]


@pytest.fixture
def rank(client):
    """Rank texts as TEI, Voyage or NIM would, by the bi-encoder unless told otherwise."""

    def rank(dialect, texts=SENT, query=QUERY, **more):
        path, documents = {
            "tei": ("/rerank", {"texts": texts}),
            "voyage": ("/v1/rerank", {"documents": texts, "top_k": None}),
            "nim": ("/v1/ranking", {"passages": [{"text": text} for text in texts]}),
        }[dialect]
        sent = {"text": query} if dialect == "nim" else query
        return client.post(path, json={"model": "bi", "query": sent, **documents, **more})

    return rank


REFUSALS = [
    ("tei", {"truncate": False}, "texts[1]"),
    ("voyage", {"truncation": False}, "documents[1]"),
    ("voyage", {"truncation": "false"}, "documents[1]"),
    ("nim", {"truncate": "NONE"}, "passages[1]"),
    ("nim", {"truncate": "none"}, "passages[1]"),
]


def message(answer, dialect):
    """Return what a refusal says, in the shape and with the status of its dialect."""
    body = answer.json()
    if dialect == "tei":
        assert answer.status_code == 422
        assert body["error_type"] == "Validation"
        return body["error"]
    assert answer.status_code == 400
    assert body["error"]["type"] == "invalid_request_error"
    return body["detail"]


@pytest.mark.parametrize(("dialect", "refusal", "place"), REFUSALS)
def test_a_document_that_would_be_cut_is_named(rank, dialect, refusal, place):
    said = message(rank(dialect, **refusal), dialect)
    assert said.startswith(f"{place} is too long")
    assert next(iter(refusal)) in said


@pytest.mark.parametrize("model", ["bi", "cross"])
@pytest.mark.parametrize(("dialect", "refusal", "_"), REFUSALS)
def test_so_is_a_query(rank, dialect, refusal, _, model):
    answer = rank(dialect, DOCUMENTS, LONG, model=model, **refusal)
    assert message(answer, dialect).startswith("query is too long")


@pytest.mark.parametrize(("dialect", "refusal", "_"), REFUSALS)
def test_what_fits_is_ranked(rank, dialect, refusal, _):
    answer = rank(dialect, DOCUMENTS, **refusal)
    assert answer.status_code == 200
    plain = rank(dialect, DOCUMENTS)
    assert answer.json() == plain.json()


@pytest.mark.parametrize(
    ("dialect", "more"),
    [
        ("tei", {}),
        ("tei", {"truncate": None}),
        ("tei", {"truncate": True, "truncation_direction": "Left"}),
        ("voyage", {}),
        ("voyage", {"truncation": None}),
        ("voyage", {"truncation": True}),
        ("nim", {}),
        ("nim", {"truncate": "END"}),
        ("nim", {"truncate": 7}),
    ],
)
def test_without_a_refusal_texts_are_cut(rank, dialect, more):
    assert rank(dialect, **more).status_code == 200
    assert rank(dialect, DOCUMENTS, LONG, **more).status_code == 200


def test_no_document_left_out_of_the_answer_may_be_cut_either(rank):
    assert rank("voyage", [DOCUMENTS[1], LONG], top_k=1, truncation=False).status_code == 400


def test_a_refusal_lifts_the_usual_bound_of_512_tokens(rank):
    texts = ["word " * 600]  # which the double of a cross-encoder reads, unlike longer queries
    used = rank("voyage", texts, model="cross", truncation=False).json()["usage"]["total_tokens"]
    assert used == 600 + len(QUERY.split())
    used = rank("voyage", texts, model="cross").json()["usage"]["total_tokens"]
    assert used == 512 + len(QUERY.split())


def test_but_not_a_bound_that_was_sent_with_it(rank):
    answer = rank("voyage", model="cross", max_tokens_per_doc=10, truncation=False)
    assert message(answer, "voyage").startswith("documents[1] is too long")


def test_a_lifted_bound_is_not_reserved_for_beyond_what_models_read():
    document = Document.of("a" * 10**6)
    request = RerankRequest("a", (document,), "bi", max_tokens_per_doc=sys.maxsize)
    assert RankOperation(request, FakeModels()).estimated_tokens < 10_000
