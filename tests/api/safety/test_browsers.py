"""What browsers are told: nothing by default, and pages in a tight frame."""

from __future__ import annotations

import pytest

V3 = "/api/v3/inference/reranker"
BODY = {"model": "bi", "query": "a", "documents": ["a"]}
ORIGIN = "https://app.example"


def preflight(client, origin: str = ORIGIN):
    wanted = {"access-control-request-method": "POST", "access-control-request-headers": "x-a"}
    return client.options(V3, headers={"origin": origin, **wanted})


def test_cors_is_off_by_default(client):
    assert preflight(client).status_code == 405
    for answer in (preflight(client), client.post(V3, json=BODY, headers={"origin": ORIGIN})):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_only_the_named_origins_may_call(start):
    client = start(cors_origins=(ORIGIN,))
    assert preflight(client).headers["access-control-allow-origin"] == ORIGIN
    answer = client.post(V3, json=BODY, headers={"origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()
    assert "access-control-allow-credentials" not in answer.headers
    other = preflight(client, "https://evil.example")
    assert other.status_code == 400
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("path", ["/docs"])
def test_pages_bring_their_security_headers(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "object-src 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    assert "https://" not in answer.text


@pytest.mark.parametrize("path", ["/docs", "/healthz", "/nowhere", "/openapi.json", V3])
def test_no_type_is_guessed(client, path):
    answer = client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers
