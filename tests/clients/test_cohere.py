"""The Cohere SDK, both clients, any base address."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from support.clients import DOCUMENTS, KEY, MODEL, QUERY, client_module

cohere = client_module("cohere")


@pytest.fixture
def connect():
    """Make clients, and close them in the end."""
    with ExitStack() as stack:

        def connect(name, base, key="any"):
            client = getattr(cohere, name)(api_key=key, base_url=base)
            return stack.enter_context(client)

        yield connect


@pytest.mark.parametrize("suffix", ["", "/v1", "/v2"])
@pytest.mark.parametrize("name", ["Client", "ClientV2"])
def test_rerank(connect, base, order, name, suffix):
    client = connect(name, base + suffix)
    answer = client.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS)
    assert [result.index for result in answer.results] == order
    assert all(0 <= result.relevance_score <= 1 for result in answer.results)
    assert answer.meta.tokens.input_tokens > 0
    assert isinstance(answer.id, str)
    two = client.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS, top_n=2)
    assert [result.index for result in two.results] == order[:2]


def test_documents_come_back_as_objects(connect, base, order):
    client = connect("Client", base)
    answer = client.rerank(
        model=MODEL,
        query=QUERY,
        documents=[{"text": text} for text in DOCUMENTS],
        return_documents=True,
        rank_fields=["text"],
        max_chunks_per_doc=10,
    )
    assert [result.document.text for result in answer.results] == [DOCUMENTS[i] for i in order]


def test_null_is_absent(connect, base, order):
    client = connect("ClientV2", base)
    answer = client.rerank(
        model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=None, max_tokens_per_doc=None
    )
    assert [result.index for result in answer.results] == order


@pytest.mark.parametrize("method", ["fast", "standard", "optimal", "best"])
def test_the_method_is_named_by_the_model_or_beside_it(connect, base, method):
    client = connect("ClientV2", base)
    by_model = client.rerank(model=f"{MODEL}:{method}", query=QUERY, documents=DOCUMENTS)
    beside = client.rerank(
        model=MODEL,
        query=QUERY,
        documents=DOCUMENTS,
        request_options={"additional_body_parameters": {"method": method}},
    )
    assert [r.index for r in by_model.results] == [r.index for r in beside.results]
    assert len(by_model.results) == len(DOCUMENTS)


def test_errors_are_the_sdks_own(connect, base, keyed):
    def rerank(to, **changes):
        client = connect("ClientV2", to, changes.pop("key", KEY))
        asked = {"model": MODEL, "query": QUERY, "documents": DOCUMENTS} | changes
        return client.rerank(**asked)

    for changes, kind in (
        ({"query": " "}, cohere.errors.BadRequestError),
        ({"documents": []}, cohere.errors.BadRequestError),
        ({"top_n": -1}, cohere.errors.BadRequestError),
        ({"model": "no-such-model"}, cohere.errors.NotFoundError),
    ):
        with pytest.raises(kind) as caught:
            rerank(base, **changes)
        assert caught.value.body["message"]
    with pytest.raises(cohere.errors.UnauthorizedError):
        rerank(keyed, key="wrong")
    assert rerank(keyed).results
