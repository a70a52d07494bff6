"""Which method and models serve a request that knows only one model id."""

from __future__ import annotations

import pytest

from .conftest import DOCUMENTS, QUERY


@pytest.fixture
def served(ask, models):
    """Return the models a request was served by, in order, and the model it says."""

    def served(**more):
        del models.asked[:]
        answer = ask(**more)
        assert answer.status_code == 200, answer.text
        return list(models.asked), answer.json()["model"]

    return served


CASES = [
    ({}, [("cross", "cross")], "cross"),
    ({"model": None}, [("cross", "cross")], "cross"),
    ({"model": ""}, [("cross", "cross")], "cross"),
    ({"model": "default/not-specified"}, [("cross", "cross")], "cross"),
    ({"model": "API"}, [("cross", "cross")], "cross"),
    ({"model": "reranker"}, [("cross", "cross")], "cross"),
    ({"model": "cross"}, [("cross", "cross")], "cross"),
    ({"model": "minilm-l6-cross-encoder"}, [("cross", "minilm-l6-cross-encoder")], None),
    ({"model": "bi"}, [("bi", "bi")], "bi"),
    ({"model": "bi", "method": "standard"}, [("cross", "cross")], "cross"),
    ({"model": "cross", "method": "fast"}, [("bi", "bi")], "bi"),
    ({"model": "cross", "method": "optimal"}, [("bi", "bi"), ("cross", "cross")], "cross"),
    ({"model": "bi:optimal"}, [("bi", "bi"), ("cross", "cross")], "bi"),
    ({"model": "cross:best"}, [("bi", "bi"), ("cross", "cross")], "cross"),
    ({"model": "bi", "method": "best"}, [("bi", "bi"), ("cross", "cross")], "bi"),
    ({"model": "reranker:fast"}, [("bi", "bi")], "bi"),
    ({"model": ":fast"}, [("bi", "bi")], "bi"),
    ({"model": "cross:best", "method": "standard"}, [("cross", "cross")], "cross"),
    (
        {"model": "bi", "method": "optimal", "model_cross": "minilm-l6-cross-encoder"},
        [("bi", "bi"), ("cross", "minilm-l6-cross-encoder")],
        "bi",
    ),
]


@pytest.mark.parametrize(("fields", "asked", "label"), CASES)
def test_the_request_chooses(served, fields, asked, label):
    found, said = served(**fields)
    assert found == asked
    if label is not None:
        assert said == label


def test_an_id_known_in_both_roles_is_a_cross_encoder_unless_fast_is_asked_for(served):
    assert served(model="BAAI/bge-reranker-v2-m3")[0][0][0] == "cross"
    assert served(model="BAAI/bge-reranker-v2-m3:fast")[0][0][0] == "bi"


def test_an_unknown_model_is_refused_and_the_known_ones_are_listed(ask):
    for fields in ({"model": "rerank-v3.5"}, {"method": "optimal", "model_cross": "nope"}):
        answer = ask(**fields)
        assert answer.status_code == 404
        assert "cross" in answer.json()["message"]
        assert answer.json()["error"]["type"] == "not_found"


def test_or_served_by_the_default_pair_if_the_settings_say_so(start):
    client = start(unknown_models="default")
    body = {"query": QUERY, "documents": DOCUMENTS, "model": "rerank-v3.5"}
    answer = client.post("/v2/rerank", json=body)
    assert answer.status_code == 200
    assert answer.json()["model"] == "cross"
    answer = client.post("/v2/rerank", json={**body, "model": "rerank-v3.5:fast"})
    assert answer.json()["model"] == "bi"


def test_unknown_methods_are_400_and_the_known_ones_are_listed(ask):
    answer = ask(method="magic")
    assert answer.status_code == 400
    assert "standard" in answer.json()["message"]
    assert ask(method=7).status_code == 400


@pytest.mark.parametrize("method", ["fast", "standard", "optimal", "best"])
def test_methods_are_chosen_in_every_dialect(client, method):
    texts = [{"text": text} for text in DOCUMENTS]
    bodies = {
        "/v1/rerank": {"query": QUERY, "documents": DOCUMENTS},
        "/rerank": {"query": QUERY, "texts": DOCUMENTS},
        "/voyage/v1/rerank": {"query": QUERY, "documents": DOCUMENTS, "top_k": 2},
        "/v1/reranking": {"query": QUERY, "input": DOCUMENTS},
        "/v1/ranking": {"query": {"text": QUERY}, "passages": texts},
        "/ai/run/cross": {"query": QUERY, "contexts": texts},
        "/score": {"text_1": QUERY, "text_2": DOCUMENTS},
        "/inference/cross": {"queries": [QUERY], "documents": DOCUMENTS},
        "/sglang/v1/rerank": {"query": QUERY, "documents": DOCUMENTS},
        "/weaviate/rerank": {"query": QUERY, "documents": DOCUMENTS, "property": ""},
        "/dashscope/rerank": {"input": {"query": QUERY, "documents": DOCUMENTS}},
    }
    for path, body in bodies.items():
        answer = client.post(path, json={**body, "method": method, "stage1_top_k": 50})
        assert answer.status_code == 200, (path, answer.text)


def test_a_model_in_the_path_may_carry_the_method(client, models):
    del models.asked[:]
    contexts = [{"text": text} for text in DOCUMENTS]
    body = {"query": QUERY, "contexts": contexts}
    assert client.post("/ai/run/cross:optimal", json=body).status_code == 200
    pairs = {"queries": [QUERY], "documents": DOCUMENTS}
    assert client.post("/inference/bi", json=pairs).status_code == 200
    assert models.asked == [("bi", "bi"), ("cross", "cross"), ("bi", "bi")]


def test_what_stage_1_left_out_still_comes_back_last(client):
    many = [f"machine learning number {i}" for i in range(120)]
    body = {"query": QUERY, "documents": many, "method": "optimal"}
    results = client.post("/v1/rerank", json=body).json()["results"]
    assert sorted(r["index"] for r in results) == list(range(120))
    assert [r["relevance_score"] for r in results[100:]] == [0.0] * 20
    assert results == sorted(results, key=lambda r: -r["relevance_score"])
    asked_for = client.post("/v1/rerank", json={**body, "stage1_top_k": 10}).json()["results"]
    assert len(asked_for) == 10
    scores = client.post("/score", json={"text_1": QUERY, "text_2": many, "method": "optimal"})
    assert len(scores.json()["data"]) == 120
    assert all(each["score"] > 0 for each in scores.json()["data"])
