"""A method that runs no model is served in every dialect, and no model is loaded for it."""

from __future__ import annotations

import sys

import pytest
from support.plugins import install

from reranker.pipeline import registry

from .conftest import DOCUMENTS, QUERY

# The length of a document is its score: 2, 1, 0 are best first.
METHOD = """
import numpy as np
from reranker import Pipeline, Stage, StageOutput, register

@register("longest", roles=())
def longest(request, models):
    def score(candidates):
        return StageOutput(np.array([float(len(text)) for text in candidates.texts]))
    return Pipeline((Stage("length", score),), lambda values: values / 1000)
"""
BEST_FIRST = [2, 0, 1]
TEXTS = [{"text": text} for text in DOCUMENTS]
V3 = "/api/v3/inference/reranker"


@pytest.fixture(autouse=True)
def longest(tmp_path, monkeypatch):
    install(tmp_path / "theirs", monkeypatch, {"longest": "their_longest"}, their_longest=METHOD)
    monkeypatch.delitem(sys.modules, "their_longest", raising=False)
    yield
    registry.unregister("longest")


def indices(items, key="index"):
    return [item[key] for item in items]


def by_score(scores):
    return sorted(range(len(scores)), key=lambda i: -scores[i])


CASES = [
    (V3, {"model": "bi", "documents": DOCUMENTS}, lambda body: indices(body["results"])),
    ("/v2/rerank", {"documents": DOCUMENTS}, lambda body: indices(body["results"])),
    ("/infinity/rerank", {"documents": DOCUMENTS}, lambda body: indices(body["results"])),
    ("/rerank", {"texts": DOCUMENTS}, indices),
    ("/voyage/rerank", {"documents": DOCUMENTS}, lambda body: indices(body["data"])),
    ("/v1/reranking", {"input": DOCUMENTS}, lambda body: indices(body["data"])),
    ("/v1/ranking", {"passages": TEXTS}, lambda body: indices(body["rankings"])),
    ("/pinecone/rerank", {"documents": TEXTS}, lambda body: indices(body["data"])),
    (
        "/ai/run/cross",
        {"contexts": TEXTS},
        lambda body: indices(body["result"]["response"], "id"),
    ),
    (
        "/weaviate/rerank",
        {"documents": DOCUMENTS},
        lambda body: by_score(indices(body["scores"], "score")),
    ),
    ("/sglang/rerank", {"documents": DOCUMENTS}, indices),
    (
        "/dashscope/rerank",
        {"input": {"query": QUERY, "documents": DOCUMENTS}},
        lambda body: indices(body["output"]["results"]),
    ),
    (
        "/score",
        {"text_1": QUERY, "text_2": DOCUMENTS},
        lambda body: by_score(indices(body["data"], "score")),
    ),
    ("/inference/cross", {"documents": DOCUMENTS}, lambda body: by_score(body["scores"])),
]


@pytest.mark.parametrize(("path", "body", "order"), CASES, ids=[case[0] for case in CASES])
def test_by_the_methods_name(client, models, path, body, order):
    del models.asked[:]
    response = client.post(path, json={"query": QUERY, "method": "longest"} | body)
    assert response.status_code == 200, response.text
    assert order(response.json()) == BEST_FIRST
    assert models.asked == []


@pytest.mark.parametrize(
    ("model", "label"),
    [
        (":longest", "longest"),
        ("default:longest", "longest"),
        ("bi:longest", "bi"),
        ("cross:longest", "cross"),
    ],
)
def test_by_the_models_name(client, models, model, label):
    del models.asked[:]
    body = {"query": QUERY, "documents": DOCUMENTS, "model": model}
    response = client.post("/v2/rerank", json=body)
    assert response.status_code == 200, response.text
    assert indices(response.json()["results"]) == BEST_FIRST
    assert response.json()["model"] == label
    assert models.asked == []
