"""The OpenAPI document lists every route, and its schemas are those of the answers."""

from __future__ import annotations

import re

import pytest

from reranker_server.dialects.registry import DialectRegistry

from .conftest import DOCUMENTS, QUERY

RANKING = (
    *("cloudflare", "cohere", "dashscope", "infinity", "mixedbread", "nim", "pinecone"),
    *("sglang", "tei", "voyage", "weaviate"),
)


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def test_every_route_is_listed_with_a_body_and_an_answer(document):
    for path, _ in DialectRegistry().routes():
        told = document["paths"][path.replace(":path}", "}")]["post"]
        assert told["requestBody"]["content"]["application/json"]["schema"]
        assert told["responses"]["200"]["content"]["application/json"]["schema"]
        assert {"4XX", "5XX"} <= set(told["responses"])
    for path in ("/v1/models", "/models", "/info", "/meta", "/health", "/llms.txt"):
        assert "get" in document["paths"][path]


def test_every_reference_leads_somewhere(document):
    text = str(document)
    names = set(re.findall(r"#/components/schemas/([^'\"]+)", text))
    assert names <= set(document["components"]["schemas"])


def test_every_dialect_has_its_prefix_and_its_schemas(document):
    for name in RANKING:
        assert f"/{name}/rerank" in document["paths"]
    for dialect in DialectRegistry().dialects:
        title = "".join(word.capitalize() for word in dialect.name.split("-"))
        assert {f"{title}Request", f"{title}Response"} <= set(document["components"]["schemas"])


def test_operations_have_ids_of_their_own(document):
    ids = [told["operationId"] for path in document["paths"].values() for told in path.values()]
    assert len(ids) == len(set(ids))


def keys(schemas, name):
    schema = schemas[name]
    return set(schema["properties"]), set(schema.get("required", ()))


@pytest.mark.parametrize(
    ("path", "schema", "body"),
    [
        ("/v1/rerank", "CohereResponse", {"documents": DOCUMENTS}),
        ("/v1/rerank", "VoyageResponse", {"documents": DOCUMENTS, "top_k": 2}),
        ("/v1/reranking", "MixedbreadResponse", {"input": DOCUMENTS}),
        ("/pinecone/rerank", "PineconeResponse", {"documents": DOCUMENTS}),
        ("/nim/rerank", "NimResponse", {"passages": DOCUMENTS}),
        ("/cloudflare/rerank", "CloudflareResponse", {"contexts": DOCUMENTS}),
        ("/weaviate/rerank", "WeaviateResponse", {"documents": DOCUMENTS}),
        ("/dashscope/rerank", "DashscopeResponse", {"input": {"documents": DOCUMENTS}}),
        ("/score", "ScoreResponse", {"text_1": QUERY, "text_2": DOCUMENTS}),
        ("/inference/cross", "DeepinfraResponse", {"queries": QUERY, "documents": DOCUMENTS}),
        ("/v1/embeddings", "OpenaiResponse", {"input": DOCUMENTS, "model": "bi"}),
    ],
)
def test_answers_have_the_keys_that_are_told(client, document, path, schema, body):
    sent = {"query": QUERY} | body
    if isinstance(body.get("input"), dict):
        sent["input"] = body["input"] | {"query": QUERY}
    found = set(client.post(path, json=sent).json())
    allowed, required = keys(document["components"]["schemas"], schema)
    assert required <= found <= allowed
