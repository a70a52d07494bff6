"""Vectors and tokens, by a tiny real model: OpenAI's shape and TEI's."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import numpy as np
import pytest
from starlette.testclient import TestClient

from reranker import Reranker, Settings
from reranker_server import ServerSettings, create_app

TEXTS = ["machine learning", "the capital of france", "machine learning"]
WIDTH = 32


@pytest.fixture(scope="module")
def server(checkpoint) -> Iterator[TestClient]:
    folder = str(checkpoint("bert-mean"))
    settings = Settings(
        model="tiny",
        model_cross="tiny-cross",
        device="cpu",
        dtype="float32",
        backend="torch",
        bi_encoders={"tiny": folder, "short": {"path": folder, "matryoshka": True}},
        cross_encoders={"tiny-cross": str(checkpoint("bert-cross"))},
    )
    app = create_app(Reranker(settings), ServerSettings())
    with TestClient(app, raise_server_exceptions=False) as client:
        assert app.state.handler.ready.wait(60)
        yield client


@pytest.fixture
def embed(server):
    def embed(path="/v1/embeddings", **more):
        return server.post(path, json={"model": "tiny", "input": TEXTS} | more)

    return embed


def vectors(answer):
    assert answer.status_code == 200, answer.text
    return np.array([each["embedding"] for each in answer.json()["data"]])


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings", "/voyage/v1/embeddings"])
def test_openai(embed, path):
    answer = embed(path)
    made = vectors(answer)
    assert made.shape == (3, WIDTH)
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert np.array_equal(made[0], made[2])
    body = answer.json()
    assert body["object"] == "list"
    assert body["model"] == "tiny"
    assert [each["index"] for each in body["data"]] == [0, 1, 2]
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] > 0


def test_base64_is_little_endian_float32(embed):
    plain = vectors(embed())
    for i, each in enumerate(embed(encoding_format="base64").json()["data"]):
        read = np.frombuffer(base64.b64decode(each["embedding"]), "<f4")
        assert np.allclose(read, plain[i], atol=1e-7)


def test_one_text_is_a_list_of_one(embed):
    assert np.array_equal(vectors(embed(input=TEXTS[0])), vectors(embed())[:1])


def test_token_ids_are_the_models_own(server, embed):
    pieces = server.post("/tokenize", json={"inputs": TEXTS[0], "add_special_tokens": False})
    ids = [piece["id"] for piece in pieces.json()[0]]
    whole = vectors(embed(input=TEXTS[0]))
    assert np.allclose(vectors(embed(input=ids)), whole, atol=1e-6)
    assert np.allclose(vectors(embed(input=[ids, ids])), np.vstack([whole, whole]), atol=1e-6)
    for bad in ([10**9], [-1], [[10**30]], [[]], [["a"]], [1.5], [True], [ids, "a", None]):
        assert embed(input=bad).status_code == 400


def test_dimensions_where_the_model_allows_them(embed):
    whole = vectors(embed())
    short = vectors(embed(model="short", dimensions=8))
    expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    assert np.allclose(short, expected, atol=1e-5)
    assert np.array_equal(vectors(embed(dimensions=WIDTH)), whole)
    for model, dimensions in (("tiny", 8), ("short", 0), ("short", WIDTH + 1), ("short", -1)):
        answer = embed(model=model, dimensions=dimensions)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "dimensions"


@pytest.mark.parametrize(
    "bad",
    [
        {"input": []},
        {"input": None},
        {"input": 7},
        {"input": {"a": 1}},
        {"encoding_format": "int8"},
        {"dimensions": "x"},
        {"model": "tiny-cross"},
        {"model": 7},
    ],
)
def test_what_cannot_be_embedded_is_400(embed, bad):
    assert embed(**bad).status_code == 400


def test_unknown_and_absent_models(embed):
    assert embed(model="text-embedding-3-small").status_code == 404
    assert embed(model=None).status_code == 200
    assert embed(model="default").json()["model"] == "tiny"


def test_tei_embed(server, embed):
    answer = server.post("/embed", json={"inputs": TEXTS, "truncate": True, "normalize": True})
    assert np.allclose(np.array(answer.json()), vectors(embed()), atol=1e-6)
    assert np.array(server.post("/embed", json={"inputs": TEXTS[0]}).json()).shape == (1, WIDTH)
    assert server.post("/embed", json={"inputs": []}).json()["error_type"] == "Empty"


def test_a_text_that_would_be_cut_is_refused_if_the_caller_says_so(server, embed):
    texts = ["machine learning", "machine learning " * 50]  # of 64 tokens that the model reads
    answer = server.post("/embed", json={"inputs": texts, "truncate": False})
    assert answer.status_code == 422
    assert answer.json()["error_type"] == "Validation"
    assert answer.json()["error"].startswith("inputs[1] is too long")
    assert server.post("/embed", json={"inputs": TEXTS, "truncate": False}).status_code == 200
    for refusal in ({"truncation": False}, {"truncate": "NONE"}):  # Voyage's and NIM's
        answer = embed(input=texts, **refusal)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "input[1]"
        assert embed(**refusal).status_code == 200
    for more in ({}, {"truncation": True}, {"truncate": "END"}, {"truncation": None}):
        assert embed(input=texts, **more).status_code == 200


def test_tokenize_in_teis_shape_and_vllms(server):
    made = server.post("/tokenize", json={"inputs": ["a cat", "paris"]}).json()
    assert len(made) == 2
    first = made[0]
    assert first[0]["special"] is True
    assert first[0]["start"] is None
    for piece in first[1:-1]:
        assert piece["text"] == "a cat"[piece["start"] : piece["stop"]]
    bare = server.post("/tokenize", json={"inputs": "a cat", "add_special_tokens": False}).json()
    assert [piece["id"] for piece in bare[0]] == [piece["id"] for piece in first[1:-1]]
    body = server.post("/tokenize", json={"prompt": "a cat"}).json()
    assert body["tokens"] == [piece["id"] for piece in first]
    assert body["count"] == len(first)
    cross = server.post("/tokenize", json={"inputs": "a cat", "model": "tiny-cross"})
    assert cross.status_code == 200


def test_models_tell_where_they_run(server):
    for path in ("/v1/models", "/models"):
        body = server.get(path).json()
        assert body["object"] == "list"
        ids = [each["id"] for each in body["data"]]
        assert {"tiny", "tiny-cross", "all-MiniLM-L6-v2"} <= set(ids)
        assert len(ids) == len(set(ids))
        assert all(each["model_type"] == "rerank" for each in body["data"])
    tiny = server.get("/v1/models/tiny").json()
    assert tiny["device"] == "cpu"
    assert tiny["dtype"] == "float32"
    assert tiny["window"] == 64
    assert tiny["dimensions"] == WIDTH
    assert tiny["state"] == "ready"
    other = server.get("/v1/models/BAAI%2Fbge-m3").json()
    assert other["id"] == "BAAI/bge-m3"
    assert other["state"] == "not loaded"
    assert server.get("/models/tiny:best").status_code == 200


def test_an_unknown_model_is_404_and_the_known_ones_of_both_roles_are_told(server):
    answer = server.get("/v1/models/nope")
    assert answer.status_code == 404
    error = answer.json()["error"]
    asked = server.post("/v2/rerank", json={"model": "nope", "query": "a", "documents": ["a"]})
    assert error == asked.json()["error"]
    assert error["param"] == "model"
    assert all(name in error["message"] for name in ("tiny", "tiny-cross", "all-MiniLM-L6-v2"))


def test_info_as_tei_and_dify_read_it(server):
    info = server.get("/info").json()
    assert next(iter(info["model_type"])) == "reranker"
    assert info["model_id"] == "tiny-cross"
    assert info["max_input_length"] == 64
    assert info["max_client_batch_size"] > 0
    assert info["model_dtype"] == "float32"


def test_health_and_what_machines_read(server):
    for path in ("/health", "/ping", "/v1/health/ready", "/v1/health/live"):
        assert server.get(path).status_code == 200
    for path in ("/.well-known/ready", "/.well-known/live"):
        assert server.get(path).status_code < 300
    assert isinstance(server.get("/meta").json(), dict)
    assert server.get("/v1/cluster/auth").status_code == 404
    assert "/v1/rerank" in server.get("/llms.txt").text
