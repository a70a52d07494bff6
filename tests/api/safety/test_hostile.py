"""Bodies, heads and paths made to break a server: a clean refusal, or an answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

V3 = "/api/v3/inference/reranker"
TELLING = (
    "Traceback",
    'File "',
    "site-packages",
    str(Path(__file__).parents[3]),
    "Exception",
    "Error:",
)
ROUTES = (V3, "/v1/rerank", "/", "/score", "/v1/embeddings", "/embed", "/tokenize", "/ranking")

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from([10**30, -(10**30), 1e308, 0, -1, "\ud800", "\x00", "NaN", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = (
    *("model", "query", "documents", "method", "model_cross", "top_n", "top_k", "texts", "input"),
    *("stage1_top_k", "max_tokens_per_doc", "batch_size", "return_documents", "rank_fields"),
    *("score_threshold", "explain", "timeout_ms", "passages", "contexts", "dimensions"),
)


def clean(answer) -> None:
    assert answer.status_code != 500, answer.text
    assert not [word for word in TELLING if word in answer.text]
    if answer.status_code >= 400:
        assert answer.json()


@given(st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_body_makes_a_500(client, data):
    path = data.draw(st.sampled_from(ROUTES))
    good = {
        "model": "bi",
        "query": "a",
        "documents": ["a", {"text": "b"}],
        "texts": ["a"],
        "input": "a",
    }
    changes = data.draw(st.dictionaries(st.sampled_from(FIELDS), values, max_size=4))
    clean(client.post(path, content=json.dumps(good | changes).encode("utf-8", "surrogatepass")))


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_bytes_make_a_500(client, raw):
    answer = client.post(V3, content=raw)
    clean(answer)
    assert answer.status_code in (400, 422)


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (
        b'{"model":"bi","query":"a","documents":["a",'
        + b'{"text":"a","x":'
        + (opening * depth + "1" + closing * depth).encode()
        + b"}]}"
    )


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("depth", [70, 990, 5_000, 200_000])
@pytest.mark.parametrize("kind", [("[", "]"), ('{"a":', "}")])
def test_deep_nesting_is_refused(client, path, depth, kind):
    answer = client.post(path, content=nested(depth, *kind))
    clean(answer)
    assert answer.status_code in (400, 422)


def test_nesting_as_documents_have_it_is_fine(client):
    answer = client.post(V3, content=nested(50))
    assert answer.status_code == 200
    assert answer.json()["results"]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"bi","query":"a","documents":["a"],"score_threshold":NaN}',
        b'{"model":"bi","query":"a","documents":["a"],"score_threshold":-Infinity}',
        b'{"model":"bi","query":"a","documents":["a"],"score_threshold":1e999}',
        b'{"model":"bi","query":"a","documents":[{"text":"a","n":1e999}]}',
        b'{"model":"bi","query":"a","documents":["a"],"top_n":' + b"9" * 5000 + b"}",
        b'{"model":"bi","query":"\xff\xfe","documents":["a"]}',
        b"\xff\xfe{\x00}\x00"[:-1],
        b'{"model":"bi","query":"a","documents":["a"]}' * 2,
        b"\x1f\x8b\x08\x00" + b"\x00" * 20,
    ],
)
def test_what_is_no_json_or_no_number_is_400(client, raw):
    answer = client.post(V3, content=raw)
    clean(answer)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"top_n": 10**300},
        {"stage1_top_k": 10**300, "method": "best"},
        {"max_tokens_per_doc": 10**300},
        {"batch_size": 10**300},
        {"timeout_ms": 10**300},
        {"score_threshold": -1e308},
        {"score_threshold": 10**300},
        {"documents": [{"text": 10**300}]},
        {"documents": [{"text": None, "title": "x"}]},
        {"rank_fields": ["text"] * 10_000},
        {"model": "bi" + "i" * 100_000},
        {"method": "best" * 100_000},
    ],
)
def test_huge_values_are_taken_or_refused(client, changes):
    body = {"model": "bi", "query": "a", "documents": ["a", "b"]} | changes
    answer = client.post(V3, json=body)
    clean(answer)
    assert answer.status_code in (200, 404, 422)


def test_an_error_does_not_repeat_a_huge_value(client):
    answer = client.post(V3, json={"model": "x" * 10**6, "query": "a", "documents": ["a"]})
    assert answer.status_code == 404
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/models/..%2f..%2fetc%2fpasswd",
        "/v1/models/%00",
        "/v1/models/" + "a" * 5000,
        "/accounts/x/ai/run/%ff%fe",
        "/docs/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/docs/assets/%2e%2e/%2e%2e/__init__.py",
        "//evil.example/",
        "/\\evil.example",
        "/metrics/%0d%0aset-cookie:x",
    ],
)
@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "TRACE"])
def test_paths_lead_nowhere_they_should_not(client, path, verb):
    answer = client.request(verb, path, content=b"{}" if verb != "GET" else None)
    clean(answer)
    assert answer.status_code in (400, 404, 405, 422)
    assert "root:" not in answer.text
    assert "set-cookie" not in answer.headers
    assert "evil.example" not in answer.headers.get("location", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-length", "99999999999999999999"),
        ("content-type", "multipart/form-data; boundary=x"),
        ("content-type", "\xff"),
        ("accept", "a" * 10_000),
        ("authorization", "Bearer " + "a" * 10_000),
        ("authorization", "\xff\xfe"),
        ("authorization", "Bearer"),
        ("x-request-id", "\xff"),
        ("traceparent", "00-zz"),
        ("x-forwarded-for", "'; drop table keys"),
        ("host", "evil.example"),
    ],
)
def test_headers_are_taken_or_refused(start, name, value):
    client = start(api_keys=("k",))
    headers = {"x-api-key": "k", name: value.encode("latin-1")}
    body = {"model": "bi", "query": "a", "documents": ["a"]}
    answer = client.post(V3, content=json.dumps(body), headers=headers)
    clean(answer)
    assert answer.status_code in (200, 401, 413)
    assert "evil" not in answer.text
