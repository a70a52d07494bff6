"""Admission as a caller meets it."""

from __future__ import annotations

import threading

import pytest

from reranker_server import handler

V3 = "/api/v3/inference/reranker"
BODY = {"model": "bi", "query": "a", "documents": ["a" * 1000]}


def test_no_room_for_a_body_is_429_and_the_room_is_given_back(start):
    client = start(max_buffered_mb=0.001)
    assert client.post(V3, json=BODY | {"documents": ["a" * 2000]}).status_code == 429
    budget = client.app.state.handler.body_budget
    assert budget.reserved == 0
    small = BODY | {"documents": ["a"]}
    assert [client.post(V3, json=small).status_code for _ in range(20)] == [200] * 20


def test_once_closed_requests_are_503_and_readiness_says_so(start):
    client = start()
    assert client.post(V3, json=BODY).status_code == 200
    client.app.state.handler.admission.close()
    answer = client.post(V3, json=BODY)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "shutting_down"
    assert int(answer.headers["retry-after"]) >= 1
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(("characters", "parsed_on"), [(10, "loop"), (100_000, "parse")])
def test_nothing_large_is_parsed_and_nothing_is_computed_on_the_event_loop(
    start, models, monkeypatch, characters, parsed_on
):
    threads: dict[str, str] = {}

    def noting(name, step):
        def noted(*args, **kwargs):
            threads[name] = threading.current_thread().name.split("_")[0]
            return step(*args, **kwargs)

        return noted

    for step in ("parse_json", "to_json"):
        monkeypatch.setattr(handler, step, noting(step, getattr(handler, step)))
    client = start()
    models.bi.encode = noting("encode", models.bi.encode)
    body = BODY | {"documents": ["a " * characters]}
    assert client.post(V3, json=body).status_code == 200
    if threads["parse_json"] not in ("parse", "request"):
        threads["parse_json"] = "loop"
    assert threads == {"parse_json": parsed_on, "encode": "request", "to_json": "request"}
