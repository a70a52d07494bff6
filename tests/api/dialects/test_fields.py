"""How bodies are read: tolerant in form, never guessing what is wanted."""

from __future__ import annotations

import pytest

from .conftest import BEST_FIRST, DOCUMENTS, QUERY


def indices(answer):
    assert answer.status_code == 200, answer.text
    return [each["index"] for each in answer.json()["results"]]


@pytest.mark.parametrize("top_n", [None, 0, 3, 8, "8", 3.0, 10**12])
def test_absent_null_zero_and_too_many_mean_all(ask, top_n):
    assert indices(ask(top_n=top_n)) == BEST_FIRST
    assert indices(ask()) == BEST_FIRST


@pytest.mark.parametrize("top_n", [2, "2", 2.0])
def test_top_n(ask, top_n):
    assert indices(ask(top_n=top_n)) == BEST_FIRST[:2]


@pytest.mark.parametrize("top_n", [-1, "x", 1.5, True, [], {}, "-3", "9" * 30])
def test_a_top_n_that_makes_no_sense_is_400(ask, top_n):
    answer = ask(top_n=top_n)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "top_n"


def test_top_n_wins_over_top_k_in_coheres_shape_and_loses_in_cloudflares(ask):
    assert len(indices(ask(top_n=1, top_k=2))) == 1
    contexts = [{"text": text} for text in DOCUMENTS]
    body = ask("/ai/run/cross", drop=("documents",), contexts=contexts, top_n=1, top_k=2).json()
    assert len(body["result"]["response"]) == 2


@pytest.mark.parametrize(
    "query",
    [
        QUERY,
        {"text": QUERY},
        [{"type": "text", "text": QUERY}],
        {"content": [{"type": "text", "text": QUERY}]},
    ],
)
def test_queries(ask, query):
    assert indices(ask(query=query)) == BEST_FIRST


@pytest.mark.parametrize("query", [None, 7, "", "  ", [], {}, {"image": "x"}, [1]])
def test_a_query_without_text_is_400(ask, query):
    assert ask(query=query).status_code == 400


@pytest.mark.parametrize(
    "form",
    [
        lambda text: {"text": text},
        lambda text: {"content": [{"type": "text", "text": text}]},
        lambda text: {"content": text},
        lambda text: {"title": text},
        lambda text: {"text": text, "id": 1, "metadata": {"a": [1]}},
    ],
)
def test_documents_as_objects(ask, form):
    assert indices(ask(documents=[form(text) for text in DOCUMENTS])) == BEST_FIRST


def test_objects_without_the_fields_are_ranked_on_all_they_have(ask):
    documents = [{"a": "sun"}, {"a": "machine", "b": "learning"}]
    assert indices(ask(documents=documents)) == [1, 0]
    assert indices(ask(documents=documents, rank_fields=["c"])) == [1, 0]
    assert indices(ask(documents=documents, rank_fields="a")) == [1, 0]


def test_a_bare_string_is_one_document(ask):
    assert indices(ask(documents="machine learning")) == [0]


@pytest.mark.parametrize("documents", [None, 7, True, [7], [None], [{}], ["a", ["b"]]])
def test_what_is_no_document_is_400(ask, documents):
    assert ask(documents=documents).status_code == 400


@pytest.mark.parametrize(
    "more",
    [
        {"max_chunks_per_doc": 10},
        {"max_tokens_per_doc": None},
        {"max_tokens_per_doc": 4096},
        {"max_tokens_per_doc": "x"},
        {"truncate": "END"},
        {"truncate_prompt_tokens": -1},
        {"overlap_tokens": 80},
        {"return_len": "true", "kwargs": "{}"},
        {"user": "u", "priority": 0, "instruction": "rank"},
        {"relevant_spans": {"mode": "disabled"}},
    ],
)
def test_fields_of_other_apis_never_refuse_a_request(ask, more):
    assert indices(ask(**more)) == BEST_FIRST


def test_max_tokens_per_doc_is_honoured(ask):
    tokens = ask(max_tokens_per_doc=1).json()["usage"]["total_tokens"]
    assert tokens < ask().json()["usage"]["total_tokens"]


def test_usage_counts_what_the_models_read(ask):
    words = len(QUERY.split()) + sum(len(text.split()) for text in DOCUMENTS)
    assert ask().json()["usage"]["total_tokens"] == words


def test_lone_surrogates_are_read_and_echoed(client):
    body = b'{"query": "a\\ud800", "documents": ["b\\udc00", "a"], "return_documents": true}'
    answer = client.post("/v1/rerank", content=body)
    assert answer.status_code == 200
    assert b"\\udc00" in answer.content
