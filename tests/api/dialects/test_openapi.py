"""The OpenAPI document lists every route, and its schemas are those of the answers."""

from __future__ import annotations

import re

import pytest

from reranker_server.dialects import TABLE
from reranker_server.routes import POSTS

from .conftest import DOCUMENTS, QUERY


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def test_every_route_is_listed_with_a_body_and_an_answer(document):
    for _, paths in POSTS:
        for path in paths:
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
    for dialect in TABLE:
        assert f"/{dialect.name}/rerank" in document["paths"]
        title = dialect.name.capitalize()
        assert {f"{title}Body", f"{title}Answer"} <= set(document["components"]["schemas"])


def test_operations_have_ids_of_their_own(document):
    ids = [told["operationId"] for path in document["paths"].values() for told in path.values()]
    assert len(ids) == len(set(ids))


def keys(schemas, name):
    schema = schemas[name]
    return set(schema["properties"]), set(schema.get("required", ()))


@pytest.mark.parametrize(
    ("path", "schema", "body"),
    [
        ("/v1/rerank", "CohereAnswer", {"documents": DOCUMENTS}),
        ("/v1/rerank", "VoyageAnswer", {"documents": DOCUMENTS, "top_k": 2}),
        ("/v1/reranking", "MixedbreadAnswer", {"input": DOCUMENTS}),
        ("/pinecone/rerank", "PineconeAnswer", {"documents": DOCUMENTS}),
        ("/nim/rerank", "NimAnswer", {"passages": DOCUMENTS}),
        ("/cloudflare/rerank", "CloudflareAnswer", {"contexts": DOCUMENTS}),
        ("/weaviate/rerank", "WeaviateAnswer", {"documents": DOCUMENTS}),
        ("/dashscope/rerank", "DashscopeAnswer", {"input": {"documents": DOCUMENTS}}),
        ("/score", "ScoreAnswer", {"text_1": QUERY, "text_2": DOCUMENTS}),
        ("/inference/cross", "DeepinfraAnswer", {"queries": QUERY, "documents": DOCUMENTS}),
        ("/v1/embeddings", "OpenaiAnswer", {"input": DOCUMENTS, "model": "bi"}),
    ],
)
def test_answers_have_the_keys_that_are_told(client, document, path, schema, body):
    sent = {"query": QUERY} | body
    if isinstance(body.get("input"), dict):
        sent["input"] = body["input"] | {"query": QUERY}
    found = set(client.post(path, json=sent).json())
    allowed, required = keys(document["components"]["schemas"], schema)
    assert required <= found <= allowed
