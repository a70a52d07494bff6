"""Clients that are no longer the newest but still out there, in a third environment."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest
from support.clients import DOCUMENTS, MODEL, QUERY, call


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


if not _installed("cohere").startswith("5.5."):
    pytest.skip("the older clients are not installed here", allow_module_level=True)


@pytest.mark.parametrize("suffix", ["", "/v1", "/v2"])
def test_cohere_of_2024_adds_no_version_to_the_path(base, order, suffix):
    import cohere

    client = cohere.Client(api_key="any", base_url=base + suffix)
    answer = client.rerank(
        model=MODEL, query=QUERY, documents=DOCUMENTS, return_documents=True, top_n=3
    )
    assert [result.index for result in answer.results] == order[:3]
    assert answer.results[0].document.text == DOCUMENTS[order[0]]
    with pytest.raises(cohere.errors.not_found_error.NotFoundError):
        client.rerank(model="no-such-model", query=QUERY, documents=DOCUMENTS)


@pytest.mark.parametrize("return_documents", [True, False])
def test_together_1_validates_the_answer(base, order, return_documents):
    import together

    client = together.Together(api_key="any", base_url=f"{base}/v1")
    answer = client.rerank.create(
        model=MODEL, query=QUERY, documents=DOCUMENTS, return_documents=return_documents
    )
    assert [result.index for result in answer.results] == order
    if return_documents:
        assert answer.results[0].document["text"] == DOCUMENTS[order[0]]
    assert answer.usage.total_tokens > 0


def test_openai_1_40(base):
    import openai

    client = openai.OpenAI(base_url=f"{base}/v1", api_key="any", max_retries=0)
    answer = client.embeddings.create(model="text-embedding-3-small", input=DOCUMENTS)
    assert [len(each.embedding) for each in answer.data] == [384] * len(DOCUMENTS)
    assert client.models.retrieve("BAAI/bge-m3").id == "BAAI/bge-m3"


def test_infinity_client_with_the_httpx_it_asks_for(base, order):
    from infinity_client import Client
    from infinity_client.api.default import rerank
    from infinity_client.models import RerankInput

    with Client(base_url=base, timeout=60) as client:
        answer = rerank.sync(client=client, body=RerankInput(query=QUERY, documents=DOCUMENTS))
    assert [result.index for result in answer.results] == order


def test_langchain_communitys_request_of_the_same_age(base, order):
    body = {"query": QUERY, "documents": DOCUMENTS, "model": MODEL, "top_n": None}
    status, answer = call(f"{base}/v1/rerank", body | {"max_chunks_per_doc": None})
    assert status == 200
    assert [result["index"] for result in answer["results"]] == order
