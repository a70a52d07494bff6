"""Each dialect's answer: its keys, and nothing that its clients refuse."""

from __future__ import annotations

import json

import pytest

from .conftest import BEST_FIRST, DOCUMENTS, QUERY

SHARED = [
    "/rerank",
    "/v1/rerank",
    "/v2/rerank",
    "/v1/v1/rerank",
    "/v1/v2/rerank",
    "/v2/v1/rerank",
    "/v2/v2/rerank",
    "/reranks",
    "/v1/reranks",
    "/compatible-api/v1/reranks",
    "/inference/v1/rerank",
    "/api/rerank",
    "/reranking",
    "/v1/reranking",
    "/cohere/rerank",
    "/cohere/v1/rerank",
]


def order(items, key="index"):
    return [item[key] for item in items]


@pytest.mark.parametrize("path", SHARED)
def test_cohere(ask, path):
    answer = ask(path)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["object"] == "rerank"
    assert order(body["results"]) == BEST_FIRST
    assert order(body["data"]) == BEST_FIRST
    for result in body["results"]:
        assert set(result) <= {"index", "relevance_score", "document"}
        assert 0 <= result["relevance_score"] <= 1
    assert isinstance(body["id"], str)
    assert isinstance(body["created"], int)
    assert body["model"] == "cross"
    assert isinstance(body["meta"]["api_version"]["version"], str)
    assert body["meta"]["billed_units"] == {"search_units": 1}
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] > 0
    assert usage["completion_tokens"] == 0
    assert body["meta"]["tokens"]["input_tokens"] == usage["total_tokens"]


@pytest.mark.parametrize(
    ("path", "echoes"),
    [("/rerank", True), ("/v1/rerank", True), ("/v2/rerank", False), ("/v1/v2/rerank", False)],
)
def test_the_path_decides_on_documents_and_an_explicit_value_wins(ask, path, echoes):
    assert ("document" in ask(path).json()["results"][0]) == echoes
    assert "document" not in ask(path, return_documents=False).json()["results"][0]
    for yes in (True, "true", "True"):
        result = ask(path, return_documents=yes).json()["results"][0]
        assert result["document"] == {"text": DOCUMENTS[1]}
    assert ("document" in ask(path, return_documents=None).json()["results"][0]) == echoes


def test_objects_are_echoed_whole_and_always_have_a_text(ask):
    sent = [{"title": "machine learning", "id": 7}, {"text": "sun", "id": 8}]
    results = ask(documents=sent, rank_fields=["title"]).json()["results"]
    assert {r["index"]: r["document"] for r in results} == {
        0: {"title": "machine learning", "id": 7, "text": "machine learning"},
        1: {"text": "sun", "id": 8},
    }


def test_the_copy_in_data_can_be_switched_off(start):
    body = (
        start(cohere_include_data=False)
        .post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS})
        .json()
    )
    assert "data" not in body


def test_infinity_and_dify_ollama_get_documents_as_strings(ask):
    for path in ("/infinity/rerank", "/api/rerank"):
        body = ask(path, return_documents=True).json()
        assert body["results"][0]["document"] == DOCUMENTS[1]
        assert "document" not in ask(path).json()["results"][0]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/", "/invocations", "/tei/rerank"])
def test_tei_is_a_bare_array_of_all_texts(ask, path):
    body = ask(path, drop=("documents",), texts=DOCUMENTS).json()
    assert order(body) == BEST_FIRST
    assert all(set(item) == {"index", "score"} for item in body)
    body = ask(path, drop=("documents",), texts=DOCUMENTS, return_text=True, top_n=2).json()
    assert [item["text"] for item in body] == [DOCUMENTS[1], DOCUMENTS[2]]


def test_texts_that_are_no_list_beside_documents_are_not_tei(ask):
    assert ask(texts=True).json()["object"] == "rerank"


def test_voyage_has_string_documents_unasked(ask):
    for null in ({"top_k": None}, {"top_k": 3}, {"truncation": True}):
        body = ask(**null).json()
        assert body["object"] == "list"
        assert order(body["data"]) == BEST_FIRST
        assert body["data"][0]["document"] == DOCUMENTS[1]
        assert body["usage"]["total_tokens"] > 0
        assert order(body["results"]) == BEST_FIRST
    assert "document" not in ask(top_k=3, return_documents=False).json()["data"][0]


def test_mixedbread(ask):
    for path in ("/v1/reranking", "/reranking", "/mixedbread/rerank"):
        body = ask(path, drop=("documents",), input=DOCUMENTS, return_input=True, top_k=2).json()
        assert body["object"] == "list"
        assert order(body["data"]) == BEST_FIRST[:2]
        assert set(body["data"][0]) == {"index", "score", "input", "object"}
        assert body["data"][0]["input"] == DOCUMENTS[1]
        assert body["data"][0]["object"] == "rank_result"
        assert body["top_k"] == 2
        assert body["return_input"] is True
        assert body["usage"]["total_tokens"] > 0


def test_llama_cpp_speaks_on_reranking_too(ask):
    assert ask("/v1/reranking").json()["object"] == "rerank"
    assert isinstance(ask("/reranking", drop=("documents",), texts=DOCUMENTS).json(), list)


def test_pinecone_is_known_by_its_headers(ask):
    headers = {"Api-Key": "k", "X-Pinecone-Api-Version": "2024-10"}
    sent = [{"text": text} for text in DOCUMENTS]
    body = ask("/rerank", headers=headers, documents=sent, rank_fields=["text"]).json()
    assert set(body) == {"model", "data", "usage"}
    assert order(body["data"]) == BEST_FIRST
    assert body["data"][0]["document"] == {"text": DOCUMENTS[1]}
    assert body["usage"] == {"rerank_units": 1}


@pytest.mark.parametrize(
    "path",
    [
        "/ranking",
        "/v1/ranking",
        "/v1/retrieval/nvidia/reranking",
        "/v1/retrieval/nvidia/llama-rerank/reranking",
        "/rerank",
    ],
)
def test_nim_gives_sorted_logits_and_nothing_else(client, path):
    body = client.post(
        path,
        json={
            "model": "cross",
            "query": {"text": QUERY},
            "passages": [{"text": text} for text in DOCUMENTS],
            "truncate": "END",
        },
    ).json()
    assert body["rankings"] == [
        {"index": 1, "logit": 4.0},
        {"index": 2, "logit": 3.0},
        {"index": 0, "logit": -1.0},
    ]


def test_nim_honours_the_top_n_of_ragflow(client):
    body = {"query": {"text": QUERY}, "passages": [{"text": t} for t in DOCUMENTS], "top_n": 1}
    assert len(client.post("/v1/ranking", json=body).json()["rankings"]) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/client/v4/accounts/abc/ai/run/@cf/baai/bge-reranker-base",
        "/accounts/abc/ai/run/@cf/baai/bge-reranker-base",
        "/accounts/abc/ai/run/%40cf%2Fbaai%2Fbge-reranker-base",
        "/ai/run/@cf/baai/bge-reranker-base",
    ],
)
def test_cloudflare_finds_the_model_in_the_path(client, models, path):
    del models.asked[:]
    contexts = [{"text": text} for text in DOCUMENTS]
    body = client.post(path, json={"query": QUERY, "contexts": contexts, "top_k": 2}).json()
    assert body["success"] is True
    assert body["errors"] == body["messages"] == []
    assert order(body["result"]["response"], "id") == BEST_FIRST[:2]
    assert set(body["result"]["response"][0]) == {"id", "score"}
    assert models.asked == [("cross", "@cf/baai/bge-reranker-base")]


def test_weaviate_answers_by_position_and_sends_no_content_type(client):
    sent = json.dumps({"query": QUERY, "documents": DOCUMENTS, "property": ""}).encode()
    request = client.build_request("POST", "/rerank", content=sent)
    request.headers.pop("content-type", None)
    body = client.send(request).json()
    assert order(body["scores"], "document") == DOCUMENTS
    scores = order(body["scores"], "score")
    assert sorted(range(3), key=lambda i: -scores[i]) == BEST_FIRST


def test_sglang_under_its_prefix_or_with_its_own_field(ask):
    for body in (ask("/sglang/v1/rerank").json(), ask("/v1/rerank", instruct=None).json()):
        assert order(body) == BEST_FIRST
        assert set(body[0]) == {"score", "document", "index", "meta_info"}
        assert body[0]["document"] == DOCUMENTS[1]


def test_dashscope(client):
    body = client.post(
        "/api/v1/services/rerank/text-rerank/text-rerank",
        json={
            "model": "cross",
            "input": {"query": QUERY, "documents": DOCUMENTS},
            "parameters": {"top_n": 2, "return_documents": True},
        },
    ).json()
    assert order(body["output"]["results"]) == BEST_FIRST[:2]
    assert body["output"]["results"][0]["document"] == {"text": DOCUMENTS[1]}
    assert body["usage"]["total_tokens"] > 0
    assert body["request_id"]


def test_deepinfra_scores_in_the_order_sent(client):
    for path in ("/inference/cross", "/v1/inference/Org/cross"):
        body = client.post(path, json={"queries": [QUERY], "documents": DOCUMENTS})
        if path.endswith("Org/cross"):
            assert body.status_code == 404
            continue
        scores = body.json()["scores"]
        assert sorted(range(3), key=lambda i: -scores[i]) == BEST_FIRST
        assert body.json()["input_tokens"] > 0


@pytest.mark.parametrize(
    "pairs",
    [
        {"text_1": QUERY, "text_2": DOCUMENTS},
        {"queries": QUERY, "documents": DOCUMENTS},
        {"queries": [QUERY] * 3, "items": DOCUMENTS},
        {"data_1": [QUERY], "data_2": DOCUMENTS},
    ],
)
def test_score_in_the_order_sent(client, pairs):
    for path in ("/score", "/v1/score"):
        body = client.post(path, json=pairs).json()
        assert body["object"] == "list"
        assert order(body["data"]) == [0, 1, 2]
        scores = order(body["data"], "score")
        assert sorted(range(3), key=lambda i: -scores[i]) == BEST_FIRST
        assert body["data"][0]["object"] == "score"
        assert body["usage"]["total_tokens"] > 0


def test_score_refuses_lengths_that_do_not_go_together(client):
    answer = client.post("/score", json={"text_1": ["a", "b"], "text_2": ["c", "d", "e"]})
    assert answer.status_code == 400


def test_raw_scores_are_logits(ask):
    body = ask("/rerank", drop=("documents",), texts=DOCUMENTS, raw_scores=True).json()
    assert order(body, "score") == [4.0, 3.0, -1.0]
    assert ask(raw_scores=True).json()["results"][0]["relevance_score"] == 4.0
    cosine = ask(raw_scores=True, model="bi").json()["results"]
    assert all(-1 <= each["relevance_score"] <= 1 for each in cosine)


def test_a_blank_document_comes_last_in_every_scale(ask, client):
    documents = [" ", *DOCUMENTS]
    for raw in (False, True):
        assert ask(documents=documents, raw_scores=raw).json()["results"][-1]["index"] == 0
    passages = [{"text": text} for text in documents]
    body = client.post("/v1/ranking", json={"query": {"text": QUERY}, "passages": passages}).json()
    assert body["rankings"][-1]["index"] == 0
