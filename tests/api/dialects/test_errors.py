"""Errors in each dialect's own shape, with the status its clients expect."""

from __future__ import annotations

import pytest

from .conftest import DOCUMENTS, QUERY

PINECONE = {"Api-Key": "k", "X-Pinecone-Api-Version": "2024-10"}


def is_plain(body):
    assert body["error"]["message"] == body["message"] == body["detail"]
    assert set(body["error"]) == {"message", "type", "param", "code"}


def is_tei(body):
    assert set(body) == {"error", "error_type"}


def is_pinecone(body):
    assert set(body["error"]) == {"code", "message"}
    assert isinstance(body["status"], int)


def is_cloudflare(body):
    assert body["result"] is None
    assert body["success"] is False
    assert body["messages"] == []
    assert isinstance(body["errors"][0]["code"], int)
    assert body["errors"][0]["message"]


def is_weaviate(body):
    assert isinstance(body["error"], str)


def is_dashscope(body):
    assert {"code", "message", "request_id"} == set(body)


TEXTS = [{"text": text} for text in DOCUMENTS]
DIALECTS = [
    ("/v1/rerank", {"documents": DOCUMENTS}, {}, is_plain, 400),
    ("/v1/rerank", {"documents": DOCUMENTS, "top_k": 2}, {}, is_plain, 400),
    ("/rerank", {"texts": DOCUMENTS}, {}, is_tei, 422),
    ("/rerank", {"documents": TEXTS}, PINECONE, is_pinecone, 400),
    ("/v1/ranking", {"passages": TEXTS}, {}, is_plain, 400),
    ("/ai/run/cross", {"contexts": TEXTS}, {}, is_cloudflare, 400),
    ("/rerank", {"documents": DOCUMENTS, "property": ""}, {}, is_weaviate, 400),
    ("/rerank", {"input": {"documents": DOCUMENTS}}, {}, is_dashscope, 400),
    ("/rerank", {"input": DOCUMENTS}, {}, is_plain, 400),
    ("/sglang/v1/rerank", {"documents": DOCUMENTS}, {}, is_plain, 400),
    ("/score", {"text_2": DOCUMENTS}, {}, is_plain, 400),
    ("/inference/cross", {"documents": DOCUMENTS}, {}, is_plain, 400),
    ("/v1/embeddings", {"model": "bi"}, {}, is_plain, 400),
    ("/embed", {}, {}, is_tei, 422),
    ("/tokenize", {}, {}, is_tei, 422),
]


@pytest.mark.parametrize(("path", "body", "headers", "shape", "status"), DIALECTS)
def test_a_missing_field(client, path, body, headers, shape, status):
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == status
    shape(answer.json())


@pytest.mark.parametrize(
    ("path", "shape", "status"),
    [
        ("/v1/rerank", is_plain, 400),
        ("/rerank", is_plain, 400),
        ("/tei/rerank", is_tei, 422),
        ("/embed", is_tei, 422),
        ("/client/v4/accounts/a/ai/run/cross", is_cloudflare, 400),
        ("/v1/ranking", is_plain, 400),
        ("/pinecone/rerank", is_pinecone, 400),
        ("/weaviate/rerank", is_weaviate, 400),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"query": NaN}'])
def test_malformed_json(client, path, shape, status, body):
    answer = client.post(path, content=body)
    assert answer.status_code == status
    shape(answer.json())


def test_empty_documents(client):
    body = {"query": QUERY, "documents": []}
    assert client.post("/v1/rerank", json=body).status_code == 400
    answer = client.post("/rerank", json={"query": QUERY, "texts": []})
    assert answer.status_code == 400
    assert answer.json()["error_type"] == "Empty"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "input.documents must be a list of strings or objects"),
        ({"query": QUERY}, "input.documents must be a list of strings or objects"),
        ({"documents": []}, "input.documents must hold at least one document"),
        ({"documents": DOCUMENTS}, "input.query must be a string or an object with a text"),
        (
            {"query": QUERY, "documents": ["a", 7]},
            "input.documents[1] must be a string or an object with a text",
        ),
    ],
)
@pytest.mark.parametrize(
    "path", ["/api/v1/services/rerank/text-rerank/text-rerank", "/v1/rerank", "/dashscope/rerank"]
)
def test_what_is_missing_in_dashscopes_input_is_named(client, path, given, message):
    answer = client.post(path, json={"model": "cross", "input": given})
    assert answer.status_code == 400
    is_dashscope(answer.json())
    assert answer.json()["message"] == message


def test_too_many_documents(start):
    client = start(max_documents=2)
    answer = client.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS})
    assert answer.status_code == 413
    answer = client.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS})
    assert answer.status_code == 422
    assert answer.json()["error_type"] == "Validation"
    assert client.post("/embed", json={"inputs": DOCUMENTS}).status_code == 422
    assert client.post("/v1/embeddings", json={"input": DOCUMENTS}).status_code == 413
    pairs = {"text_1": QUERY, "text_2": DOCUMENTS}
    assert client.post("/score", json=pairs).status_code == 413


def test_a_body_that_is_too_large(start):
    client = start(max_body_mb=0.001)
    for path, shape in (("/v1/rerank", is_plain), ("/tei/rerank", is_tei)):
        answer = client.post(path, json={"query": QUERY, "documents": ["x" * 2000]})
        assert answer.status_code == 413
        shape(answer.json())


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v1/rerank", is_plain),
        ("/api/v3/inference/reranker", is_plain),
        ("/tei/rerank", is_tei),
        ("/embed", is_tei),
        ("/ai/run/cross", is_cloudflare),
        ("/pinecone/rerank", is_pinecone),
        ("/weaviate/rerank", is_weaviate),
        ("/dashscope/rerank", is_dashscope),
    ],
)
@pytest.mark.parametrize("encoding", ["gzip", "X-GZIP", "deflate", "br", "zstd", "identity, gzip"])
def test_a_compressed_body_is_415(client, path, shape, encoding):
    answer = client.post(path, content=b"{}", headers={"Content-Encoding": encoding})
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "identity"
    assert "Content-Encoding" in answer.text
    shape(answer.json())


def test_the_encodings_of_a_compressed_body_may_stand_in_headers_of_their_own(client):
    headers = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    assert client.post("/v1/rerank", content=b"{}", headers=headers).status_code == 415


@pytest.mark.parametrize("encoding", ["", " ", "identity", "Identity", "identity, identity"])
def test_a_body_that_says_it_is_not_compressed_is_read(client, encoding):
    body = {"query": QUERY, "documents": DOCUMENTS}
    answer = client.post("/v1/rerank", json=body, headers={"Content-Encoding": encoding})
    assert answer.status_code == 200, answer.text


def test_keys_as_clients_send_them(start):
    client = start(api_keys=("k",))
    body = {"query": QUERY, "documents": DOCUMENTS}
    for headers in (
        {"Authorization": "Bearer k"},
        {"Authorization": "bearer k"},
        {"Authorization": "k"},
        {"Api-Key": "k"},
        {"X-API-Key": "k"},
    ):
        assert client.post("/v1/rerank", json=body, headers=headers).status_code == 200
    for headers in ({}, {"Authorization": "Bearer x"}):
        answer = client.post("/v1/rerank", json=body, headers=headers)
        assert answer.status_code == 401
        assert "www-authenticate" in answer.headers
        is_plain(answer.json())
    is_tei(client.post("/embed", json={"inputs": "a"}).json())
    cloudflare = client.post("/ai/run/cross", json={})
    is_cloudflare(cloudflare.json())
    assert cloudflare.json()["errors"][0]["code"] == 10000
    for path in ("/info", "/models", "/v1/models", "/v1/models/bi", "/meta"):
        assert client.get(path).status_code == 401, path
        assert client.get(path, headers={"Authorization": "k"}).status_code == 200, path
    for path in ("/health", "/ping", "/v1/health/ready", "/.well-known/ready", "/llms.txt"):
        assert client.get(path).status_code == 200, path


def test_an_unknown_model_in_cloudflares_envelope(client):
    answer = client.post("/ai/run/@cf/x/y", json={"query": QUERY, "contexts": TEXTS})
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == 3042


def test_a_failing_model_is_500_and_424_for_tei(start, models, monkeypatch):
    def fail(*_, **__):
        raise ValueError("a secret of the server")

    monkeypatch.setattr(models.cross, "score", fail, raising=False)
    client = start()
    answer = client.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    is_plain(answer.json())
    answer = client.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS})
    assert answer.status_code == 424
    assert answer.json()["error_type"] == "Backend"
    assert "secret" not in answer.text
