"""The v3 contract: what is asked, what comes back."""

from __future__ import annotations

import json

import pytest

from reranker_server.v3.schemas import RerankBody

V3 = "/api/v3/inference/reranker"


@pytest.mark.parametrize("method", ["fast", "standard", "optimal", "best"])
def test_every_method_answers_best_first_with_its_meta(ask, method):
    answer = ask(method=method, model_cross="cross", top_n=3)
    assert answer.status_code == 200
    body = answer.json()
    scores = [result["relevance_score"] for result in body["results"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert body["meta"]["method"] == method
    assert body["meta"]["deployed_model_id"] == "bi"
    assert ("model_cross" in body["meta"]) == (method != "fast")
    assert ("stage1_top_k" in body["meta"]) == (method in ("optimal", "best"))


def test_the_method_is_fast_unless_said_otherwise(ask):
    meta = ask().json()["meta"]
    assert meta["method"] == "fast"
    assert "model_cross" not in meta


def test_best_does_without_a_cross_encoder(ask):
    meta = ask(method="best").json()["meta"]
    assert "model_cross" not in meta
    assert meta["stage1_top_k"] == 100


def test_the_fast_score_is_the_cosine_mapped_to_the_unit_interval(ask):
    for result in ask(explain=True).json()["results"]:
        cosine = result["explanation"]["stages"]["bi_encoder"]
        assert result["relevance_score"] == pytest.approx((1 + cosine) / 2)


def test_documents_come_back_as_they_were_sent(ask):
    sent = ["machine learning", {"text": "learning", "id": 7, "tags": ["a", {"b": None}]}]
    results = ask(documents=sent).json()["results"]
    assert {result["index"]: result["document"] for result in results} == dict(enumerate(sent))


def test_return_documents_false_leaves_the_key_out(ask):
    assert all("document" not in result for result in ask(return_documents=False).json()["results"])


def test_objects_are_ranked_on_the_named_fields(ask, models):
    sent = [{"title": "machine", "body": "learning", "text": "weather"}]
    assert ask(documents=sent, rank_fields=["title", "body"]).status_code == 200
    assert ("document", ("machine\nlearning",), False) in models.bi.calls


def test_top_n_beyond_the_documents_means_all(ask):
    assert len(ask(top_n=99).json()["results"]) == 5


def test_only_documents_that_leave_stage_1_come_back(ask):
    answer = ask(method="optimal", model_cross="cross", stage1_top_k=2, top_n=4).json()
    assert len(answer["results"]) == 2
    assert answer["meta"]["stage1_top_k"] == 2


def test_a_threshold_is_inclusive_and_zero_is_one(ask):
    scores = [result["relevance_score"] for result in ask().json()["results"]]
    assert len(ask(score_threshold=scores[2]).json()["results"]) == 3
    assert len(ask(score_threshold=0).json()["results"]) == 5
    assert ask(score_threshold=1).json()["results"] == []


def test_duplicates_share_a_score_and_keep_their_order(ask):
    results = ask(documents=["learning", "weather", "learning"]).json()["results"]
    twice = [result for result in results if result["index"] != 1]
    assert [result["index"] for result in twice] == [0, 2]
    assert twice[0]["relevance_score"] == twice[1]["relevance_score"]


@pytest.mark.parametrize("method", ["fast", "standard", "optimal", "best"])
def test_blank_documents_come_last_with_the_lowest_score(ask, method):
    sent = ["", "machine learning", " \t\n", "\u200b\x00"]
    results = ask(documents=sent, method=method, model_cross="cross").json()["results"]
    assert [result["index"] for result in results] == [1, 0, 2, 3]
    assert [result["relevance_score"] for result in results[1:]] == [0, 0, 0]


def test_a_cut_document_is_marked(ask):
    sent = ["learning", "learning " * 200]
    assert ask(documents=sent, max_tokens_per_doc=10).json()["meta"]["truncated"] == [1]


def test_unknown_fields_and_nulls_are_ignored(client):
    body = {"model": "bi", "query": "learning", "documents": ["learning"], "colour": "red"}
    optional = RerankBody.model_fields.keys() - body.keys()
    answer = client.post(V3, json=body | dict.fromkeys(optional))
    assert answer.status_code == 200, answer.text
    assert answer.json()["meta"]["method"] == "fast"


@pytest.mark.parametrize(
    "text", ["😀 emoji", "مرحبا بالعالم", "\x01\x02 control", "e\u0301", "\u202e rtl"]
)
def test_unusual_text_is_ranked_and_echoed(ask, text):
    results = ask(documents=[text, "plain"]).json()["results"]
    assert {result["document"] for result in results} == {text, "plain"}


def test_a_lone_surrogate_is_ranked_and_echoed(client):
    body = b'{"model": "bi", "query": "a\\udc00", "documents": ["x\\ud800y", {"text": "\\ud83d\\ude00"}]}'  # noqa: E501
    answer = client.post(V3, content=body)
    assert answer.status_code == 200
    echoed = {r["index"]: r["document"] for r in json.loads(answer.content)["results"]}
    assert echoed == {0: "x\ud800y", 1: {"text": "😀"}}


def test_explain_shows_the_features_and_spans_of_best(ask):
    first = ask(method="best", explain=True).json()["results"][0]["explanation"]
    assert {"cosine", "attention"} <= first["features"].keys()
    assert "fusion" in first["stages"]
    assert all(span["text"] and span["end"] > span["start"] for span in first["spans"])


def test_meta_counts_tokens_and_times_stages(ask):
    meta = ask().json()["meta"]
    assert meta["usage"]["total_tokens"] == 4 + 6 + 4 + 4 + 4 + 5
    assert meta["timings_ms"].keys() == {"bi_encoder", "total"}
    assert meta["models"] == {"bi-encoder": "fake-bi"}


def test_no_content_type_is_needed(client):
    body = json.dumps({"model": "bi", "query": "a b", "documents": ["a"]}).encode()
    assert client.post(V3, content=body, headers={"content-type": ""}).status_code == 200
