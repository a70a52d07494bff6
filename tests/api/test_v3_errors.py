"""Every error row of the contract: status, type, the field at fault, one body."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from reranker import (
    DeadlineExceeded,
    MissingExtra,
    ModelUnavailable,
    Overloaded,
    RerankerError,
    errors,
)
from reranker_server.errors import STATUS, problem_of

V3 = "/api/v3/inference/reranker"


def check(answer, status: int, kind: str, param: str | None = None) -> dict:
    body = answer.json()
    assert answer.status_code == status, body
    assert body.keys() == {"error", "message", "detail"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["type"] == kind
    assert body["message"] == body["detail"] == body["error"]["message"]
    assert body["error"]["param"] == param
    return body


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_400(client, raw):
    check(client.post(V3, content=raw), 400, "invalid_request_error")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, "model"),
        ({"query": None}, "query"),
        ({"documents": None}, "documents"),
        ({"query": ""}, "query"),
        ({"query": " \n\u200b"}, "query"),
        ({"query": 7}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": "one"}, "documents"),
        ({"documents": ["a", 7]}, "documents[1]"),
        ({"documents": ["a", None]}, "documents[1]"),
        ({"documents": [{"title": "no text"}]}, "documents[0]"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": -1}, "top_n"),
        ({"top_n": "3"}, "top_n"),
        ({"top_n": 1.5}, "top_n"),
        ({"top_n": True}, "top_n"),
        ({"stage1_top_k": 0}, "stage1_top_k"),
        ({"max_tokens_per_doc": 0}, "max_tokens_per_doc"),
        ({"batch_size": 0}, "batch_size"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"score_threshold": "high"}, "score_threshold"),
        ({"score_threshold": "0.5"}, "score_threshold"),
        ({"score_threshold": True}, "score_threshold"),
        ({"score_threshold": 10**400}, "score_threshold"),
        ({"return_documents": "perhaps"}, "return_documents"),
        ({"return_documents": "false"}, "return_documents"),
        ({"return_documents": 0}, "return_documents"),
        ({"explain": "yes"}, "explain"),
        ({"explain": 1}, "explain"),
        ({"rank_fields": [1]}, "rank_fields[0]"),
        ({"method": "bestest"}, "method"),
        ({"method": "standard"}, "model_cross"),
        ({"method": "optimal"}, "model_cross"),
    ],
)
def test_a_field_missing_or_out_of_range_is_422_and_named(ask, changes, param):
    # A document is dropped from the request by None alone, so a null one is sent inside a list.
    check(ask(**changes), 422, "invalid_request_error", param)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"documents": []}, "documents must not be empty"),
        ({"documents": ["a", 7]}, "a document must be a string or an object"),
        ({"query": 7}, "query must be a string"),
        ({"query": None}, "query is missing"),
        ({"top_n": 0}, "top_n must be at least 1"),
        ({"top_n": 1.5}, "top_n must be a whole number"),
        ({"score_threshold": "high"}, "score_threshold must be a number"),
        ({"explain": 1}, "explain must be true or false"),
    ],
)
def test_the_message_says_what_a_field_must_be(ask, changes, message):
    assert ask(**changes).json()["message"] == message


def test_an_unknown_method_lists_the_known_ones(ask):
    message = ask(method="bst").json()["message"]
    assert all(name in message for name in ("best", "fast", "optimal", "standard"))
    assert "did you mean 'best'" in message


def test_huge_numbers_are_taken_at_their_word(ask):
    huge = 10**30
    assert (
        ask(
            top_n=huge, stage1_top_k=huge, max_tokens_per_doc=huge, timeout_ms=huge, method="best"
        ).status_code
        == 200
    )


def test_an_unknown_model_is_404(ask):
    check(ask(model="nope"), 404, "not_found", "model")
    check(ask(method="standard", model_cross="nope"), 404, "not_found", "model_cross")


def test_an_unknown_route_is_404_and_a_wrong_verb_405(client):
    check(client.get("/nope"), 404, "not_found")
    check(client.get(V3), 405, "invalid_request_error")


def test_too_many_documents_and_too_large_a_body_are_413(start):
    client = start(max_documents=3, max_body_mb=0.01)
    body = {"model": "bi", "query": "a", "documents": ["a"] * 4}
    check(client.post(V3, json=body), 413, "invalid_request_error", "documents")
    check(client.post(V3, json=body | {"documents": ["a" * 20_000]}), 413, "invalid_request_error")


def test_a_body_of_undeclared_length_is_cut_off_at_the_limit(start):
    sent = []

    def body():
        for _ in range(1000):
            sent.append(1)
            yield b"x" * 1000

    check(start(max_body_mb=0.01).post(V3, content=body()), 413, "invalid_request_error")


class TestKeys:
    def test_no_or_a_wrong_key_is_401(self, start):
        client = start(api_keys=["right", "other"])
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic cmlnaHQ="}):
            answer = client.post(V3, json={}, headers=headers)
            check(answer, 401, "authentication_error")
            assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        "headers",
        [
            {"authorization": "Bearer right"},
            {"authorization": "bearer right"},
            {"authorization": "right"},
            {"x-api-key": "right"},
            {"api-key": "other"},
        ],
    )
    def test_a_key_opens_however_clients_send_it(self, start, headers):
        body = {"model": "bi", "query": "a", "documents": ["a"]}
        assert (
            start(api_keys=["right", "other"]).post(V3, json=body, headers=headers).status_code
            == 200
        )

    def test_health_needs_no_key(self, start):
        client = start(api_keys=["right"])
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


class TestModelTrouble:
    def test_a_failing_model_is_500_and_tells_nothing(self, ask, models):
        def fail(*_, **__):
            raise RuntimeError("secret /path/of/weights")

        models.bi.encode = fail
        answer = ask()
        check(answer, 500, "server_error")
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text

    def test_a_score_that_is_not_finite_is_500(self, ask, models):
        real = models.cross.score

        def broken(*args, **kwargs):
            scored = real(*args, **kwargs)
            scored.logits[1] = float("nan")
            return scored

        models.cross.score = broken
        check(ask(method="standard", model_cross="cross"), 500, "server_error")

    def test_a_model_that_is_unavailable_is_503_with_retry_after(self, ask, models, monkeypatch):
        def absent(_):
            raise ModelUnavailable("model 'bi' is not on this machine", detail="/secret/path")

        monkeypatch.setattr(models, "bi_encoder", absent)
        answer = ask()
        check(answer, 503, "service_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert "secret" not in answer.text

    def test_past_the_deadline_is_504_and_the_work_is_told(self, ask, models):
        told = threading.Event()

        def slow(*_, context, **__):
            told.set() if context.cancelled.wait(10) else None
            raise DeadlineExceeded("late")

        models.bi.encode = slow
        start = time.monotonic()
        check(ask(timeout_ms=100), 504, "timeout_error")
        assert time.monotonic() - start < 5
        assert told.wait(5)


def test_beyond_the_queue_is_429_with_retry_after(start, models):
    client = start(max_concurrent=1, max_queue=1)
    inside, go_on = threading.Semaphore(0), threading.Event()
    real = models.bi.encode

    def hold(*args, **kwargs):
        inside.release()
        assert go_on.wait(20)
        return real(*args, **kwargs)

    models.bi.encode = hold
    body = {"model": "bi", "query": "a", "documents": ["a"]}
    with ThreadPoolExecutor(2) as pool:
        admitted = [pool.submit(client.post, V3, json=body) for _ in range(2)]
        inside.acquire()
        while client.app.state.handler.admission.in_flight < 2:
            time.sleep(0.01)
        refused = client.post(V3, json=body)
        go_on.set()
        assert [future.result().status_code for future in admitted] == [200, 200]
    check(refused, 429, "rate_limit_error")
    assert int(refused.headers["retry-after"]) >= 1


def test_readiness_follows_the_models(start):
    client = start()
    assert client.get("/readyz").json()["status"] == "ready"
    client.app.state.handler.ready.clear()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    check(
        client.post(V3, json={"model": "bi", "query": "a", "documents": ["a"]}),
        503,
        "service_unavailable",
    )


def leaves(kind: type[RerankerError]) -> set[type[RerankerError]]:
    return {kind}.union(*(leaves(sub) for sub in kind.__subclasses__()))


def test_every_error_class_has_a_status_of_its_own_kind():
    engine = {kind for kind in leaves(RerankerError) if kind.__module__ == errors.__name__}
    assert engine <= STATUS.keys()
    for kind in (ModelUnavailable, MissingExtra, Overloaded):
        assert problem_of(kind("x")).headers["Retry-After"].isdigit()


def test_the_openapi_document_describes_request_and_errors(client):
    made = client.get("/openapi.json").json()
    operation = made["paths"][V3]["post"]
    assert {"200", "400", "401", "404", "413", "422", "429", "500", "503", "504"} <= operation[
        "responses"
    ].keys()
    body = made["components"]["schemas"]["RerankBody"]
    assert set(body["required"]) == {"model", "query", "documents"}
    assert body["examples"]
    assert client.get("/docs").status_code == 200


def test_the_docs_page_needs_no_other_host(client):
    page = client.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/assets/{asset}" in page
        assert client.get(f"/docs/assets/{asset}").status_code == 200
