"""Request ids, times in headers, log lines, traces: and never what a request was about."""

from __future__ import annotations

import json
import logging
import re

import pytest

from reranker_server.observability import logs
from reranker_server.observability.request_log import RequestRecord

V3 = "/api/v3/inference/reranker"
SECRETS = ("sesame-document", "sesame-query", "sesame-key", "sesame-field")
BODY = {
    "model": "bi",
    "query": "sesame-query a",
    "documents": ["sesame-document b", {"text": "c", "note": "sesame-field"}],
}


def test_a_request_id_is_echoed_or_made_up(client):
    for path in (V3, "/nowhere", "/healthz"):
        answer = client.post(path, json=BODY, headers={"x-request-id": "abc-1.2:3_4"})
        assert answer.headers["x-request-id"] == "abc-1.2:3_4"
        made = {client.post(path, json=BODY).headers["x-request-id"] for _ in range(2)}
        assert len(made) == 2


@pytest.mark.parametrize("given", ["", "a b", "a\tb", "x" * 129, "<script>", "a;b"])
def test_an_unusual_request_id_is_not_echoed(client, given):
    answer = client.get("/healthz", headers={"x-request-id": given})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_times_stand_in_the_headers(client):
    answer = client.post(V3, json=BODY | {"method": "best"})
    parts = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    assert {"total", "queue", "tokenize", "inference", "stage-bi_encoder"} <= parts.keys()
    assert float(parts["total"]) >= float(parts["inference"]) >= float(parts["stage-bi_encoder"])
    for name in ("total", "tokenization", "queue", "inference", "compute"):
        assert answer.headers[f"x-{name}-time"].isdigit()
    assert answer.headers["x-compute-type"] == "cpu"
    assert int(answer.headers["x-compute-characters"]) == len("sesame-query a sesame-document b")
    assert int(answer.headers["x-compute-tokens"]) > 0
    assert "server-timing" not in client.get("/healthz").headers


def test_tokenising_is_timed_where_there_is_a_tokenizer(real_client):
    body = BODY | {"model": "tiny"}
    answer = real_client.post(V3, json=body)
    assert float(re.search(r"tokenize;dur=([\d.]+)", answer.headers["server-timing"])[1]) > 0


@pytest.fixture
def lines(caplog):
    """Return a function giving the log so far as the JSON formatter writes it."""
    caplog.set_level(logging.DEBUG)
    caplog.handler.addFilter(logs.RequestIdFilter())

    def lines() -> list[dict]:
        formatter = logs.JsonFormatter()
        return [json.loads(formatter.format(record)) for record in caplog.records]

    return lines


def test_a_request_is_one_line_with_its_id_and_numbers(client, lines):
    client.post(V3, json=BODY | {"method": "best"}, headers={"x-request-id": "one"})
    (line,) = [line for line in lines() if line["logger"] == "reranker_server.access"]
    assert line["request_id"] == "one"
    assert (line["status"], line["dialect"], line["method"]) == (200, "v3", "best")
    assert line["documents"] == 2
    assert line["tokens"] > 0
    assert "bi_encoder" in line["stages_ms"]


def test_the_log_of_a_failure_has_the_id_too(client, models, lines):
    def fail(texts, **_):
        raise RuntimeError(f"cannot read {texts[0]}")

    models.bi.encode = fail
    client.post(V3, json=BODY, headers={"x-request-id": "two"})
    (line,) = [line for line in lines() if line["level"] == "error"]
    assert line["request_id"] == "two"
    assert "RuntimeError" in line["exception"]
    assert "in fail" in line["exception"]  # the place, but not the message: it quotes the input
    assert not [secret for secret in SECRETS if secret in line["exception"]]


def test_nothing_of_the_content_is_logged_or_measured(start, lines):
    client = start(api_keys=("sesame-key",))
    auth = {"Authorization": "Bearer sesame-key"}
    for changes in ({}, {"method": "sesame-query"}, {"top_n": "sesame-field"}, {"query": " "}):
        client.post(V3, json=BODY | changes, headers=auth)
    client.post(V3, content=b'{"query": "sesame-query', headers=auth)
    client.post(V3, json=BODY, headers={"Authorization": "Bearer sesame-key-2"})
    client.post("/nowhere?key=sesame-key", json=BODY)
    assert not [secret for secret in SECRETS if secret in client.get("/metrics").text]
    assert not [
        secret
        for secret in SECRETS
        for line in lines()
        if line["logger"].startswith("reranker") and secret in json.dumps(line)
    ]


def test_the_text_format_shows_the_id(monkeypatch):
    handler = logging.StreamHandler()
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    logs.configure("text")
    record = logging.LogRecord("x", logging.INFO, "", 0, "hello", (), None)
    assert handler.filter(record)
    assert handler.format(record).endswith("INFO    x [-]: hello")


def test_traces_have_the_request_the_wait_and_the_stages():
    trace = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    from reranker_server.observability.tracing import TraceExporter

    exporter = trace.InMemorySpanExporter()
    traces = TraceExporter(exporter)
    record = RequestRecord("id-1", "POST", V3, method="optimal", dialect="v3", status=200)
    record.trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    record.queue, record.stages = 0.001, {"bi_encoder": 0.002, "cross_encoder": 0.003}
    traces.export(record)
    traces.close()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    whole = spans[f"POST {V3}"]
    assert f"{whole.context.trace_id:x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert f"{whole.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert whole.attributes["reranker.method"] == "optimal"
    parts = [spans[name] for name in ("queue", "stage bi_encoder", "stage cross_encoder")]
    assert [part.parent.span_id for part in parts] == [whole.context.span_id] * 3
    assert [part.end_time for part in parts[:-1]] == [part.start_time for part in parts[1:]]
    assert parts[-1].end_time <= whole.end_time + 1000


def test_a_server_with_traces_serves(start, monkeypatch):
    pytest.importorskip("opentelemetry.sdk")
    from reranker_server.observability import tracing

    sent = []
    monkeypatch.setattr(tracing.TraceExporter, "__init__", lambda self: None)
    monkeypatch.setattr(tracing.TraceExporter, "export", lambda self, record: sent.append(record))
    assert start(traces=True).post(V3, json=BODY).status_code == 200
    assert sent[0].route == V3
