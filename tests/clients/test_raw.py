"""Requests as programs send them that have no client library here: byte for byte theirs."""

from __future__ import annotations

import json

import pytest
from support.clients import DOCUMENTS, KEY, MODEL, QUERY, call

JSON = {"Content-Type": "application/json"}
TEXTS = [{"text": text} for text in DOCUMENTS]


def test_cloudflare_with_the_model_in_the_path_plain_or_encoded(base, order):
    for model in ("@cf/baai/bge-reranker-base", "%40cf%2Fbaai%2Fbge-reranker-base"):
        for prefix in ("/client/v4", ""):
            status, body = call(
                f"{base}{prefix}/accounts/abc/ai/run/{model}",
                {"query": QUERY, "contexts": TEXTS, "top_k": 3},
                JSON | {"Authorization": "Bearer x"},
            )
            assert status == 200
            assert [each["id"] for each in body["result"]["response"]] == order[:3]
            assert body["success"] is True


def test_weaviate_sends_no_content_type_and_pairs_by_position(base, order):
    sent = json.dumps({"query": QUERY, "documents": DOCUMENTS, "property": ""}).encode()
    status, body = call(f"{base}/rerank", sent)
    assert status == 200
    assert [each["document"] for each in body["scores"]] == DOCUMENTS
    scores = [each["score"] for each in body["scores"]]
    assert sorted(range(len(scores)), key=lambda i: -scores[i]) == order
    assert call(f"{base}/.well-known/ready")[0] < 300
    assert isinstance(call(f"{base}/meta")[1], dict)
    assert call(f"{base}/rerank", b'{"query": "", "documents": ["a"], "property": ""}')[0] == 400


def test_nim_with_langchains_and_ragflows_fields(base, order):
    body = {"model": MODEL, "query": {"text": QUERY}, "passages": TEXTS, "truncate": "END"}
    for path in ("/v1/ranking", "/v1/retrieval/nvidia/reranking", "/ranking"):
        status, answer = call(f"{base}{path}", body, JSON)
        assert status == 200
        assert [each["index"] for each in answer["rankings"]] == order
        assert all(set(each) == {"index", "logit"} for each in answer["rankings"])
    _, answer = call(f"{base}/v1/ranking", body | {"top_n": 2}, JSON)
    assert [each["index"] for each in answer["rankings"]] == order[:2]
    listed = call(f"{base}/v1/models")[1]
    assert any(MODEL in each["id"] for each in listed["data"])


def test_open_webui_pairs_results_with_documents_by_position(base):
    body = {"model": MODEL, "query": QUERY, "documents": DOCUMENTS, "top_n": len(DOCUMENTS)}
    status, answer = call(f"{base}/v1/rerank", body, JSON | {"Authorization": "Bearer "})
    assert status == 200
    by_index = sorted(answer["results"], key=lambda result: result["index"])
    assert [result["index"] for result in by_index] == list(range(len(DOCUMENTS)))
    assert all(isinstance(result["relevance_score"], float) for result in by_index)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank"])
def test_dify_with_texts_with_content_parts_and_with_null(base, order, path):
    parts = [{"content": [{"type": "text", "text": text}]} for text in DOCUMENTS]
    for documents in (DOCUMENTS, TEXTS, parts):
        for top_n in (None, len(DOCUMENTS)):
            body = {"model": MODEL, "query": QUERY, "documents": documents, "top_n": top_n}
            status, answer = call(f"{base}{path}", body, JSON)
            assert status == 200
            assert [result["index"] for result in answer["results"]] == order
            assert all(result["document"]["text"] for result in answer["results"])


def test_dify_reads_what_tei_says_of_itself(base, order):
    info = call(f"{base}/info")[1]
    assert next(iter(info["model_type"])) in ("embedding", "reranker")
    assert info["max_client_batch_size"] >= 32
    body = {"query": QUERY, "texts": DOCUMENTS, "return_text": True}
    assert [each["text"] for each in call(f"{base}/rerank", body, JSON)[1]] == [
        DOCUMENTS[i] for i in order
    ]
    assert call(f"{base}/tokenize", {"inputs": DOCUMENTS}, JSON)[0] == 200
    vectors = call(f"{base}/embed", {"inputs": DOCUMENTS, "truncate": True}, JSON)[1]
    assert [len(vector) for vector in vectors] == [384] * len(DOCUMENTS)


def test_dify_through_ollama_voyage_and_mixedbread(base, order):
    body = {"model": MODEL, "query": QUERY, "documents": DOCUMENTS, "return_documents": True}
    answer = call(f"{base}/api/rerank", body, JSON)[1]
    assert [each["document"] for each in answer["results"]] == [DOCUMENTS[i] for i in order]
    answer = call(f"{base}/rerank", body | {"top_k": 4, "truncation": True}, JSON)[1]
    assert [each["document"] for each in answer["data"]] == [DOCUMENTS[i] for i in order]
    body = {"model": MODEL, "query": QUERY, "input": DOCUMENTS, "return_input": True, "top_k": 4}
    answer = call(f"{base}/reranking", body, JSON)[1]
    assert [each["input"] for each in answer["data"]] == [DOCUMENTS[i] for i in order]


def test_ragflow_with_strings_for_switches(base, order):
    body = {
        "model": MODEL,
        "query": QUERY,
        "documents": DOCUMENTS,
        "return_documents": "true",
        "return_len": "true",
    }
    status, answer = call(f"{base}/v1/rerank", body, JSON)
    assert status == 200
    assert [each["index"] for each in answer["results"]] == order
    assert all(0 <= each["relevance_score"] <= 1 for each in answer["results"])
    assert isinstance(answer["results"][0]["document"], dict)
    assert answer["usage"]["total_tokens"] > 0


def test_milvus_fastgpt_continue_and_elasticsearch(base, order):
    answer = call(f"{base}/rerank", {"query": QUERY, "documents": DOCUMENTS}, JSON)[1]
    assert [each["index"] for each in answer["results"]] == order
    assert [each["index"] for each in answer["data"]] == order
    assert set(answer["results"][0]) == {"index", "relevance_score", "document"}
    assert answer["meta"]["tokens"]["input_tokens"] > 0
    array = call(f"{base}/rerank", {"texts": DOCUMENTS, "query": QUERY, "top_n": 2}, JSON)[1]
    assert [each["index"] for each in array] == order[:2]
    assert set(array[0]) == {"index", "score"}


def test_keys_in_every_header(keyed):
    body = {"query": QUERY, "documents": DOCUMENTS}
    for name, value in (
        ("Authorization", f"Bearer {KEY}"),
        ("Authorization", f"bearer {KEY}"),
        ("Authorization", KEY),
        ("Api-Key", KEY),
        ("x-api-key", KEY),
    ):
        assert call(f"{keyed}/v1/rerank", body, JSON | {name: value})[0] == 200
    assert call(f"{keyed}/v1/rerank", body, JSON)[0] == 401
    assert call(f"{keyed}/health")[0] == 200
    assert call(f"{keyed}/info")[0] == 401
