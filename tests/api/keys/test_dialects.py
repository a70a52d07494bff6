"""Refusals by key and quota, in the shape of each dialect."""

from __future__ import annotations

import hashlib

import pytest

TEXTS = {"query": "a", "texts": ["a", "b"]}
COHERE = {"model": "cross", "query": "a", "documents": ["a", "b"]}
CONTEXTS = {"query": "a", "contexts": [{"text": "a"}]}
ROUTES = [
    ("/v2/rerank", COHERE, lambda body: body["message"]),
    ("/rerank", TEXTS, lambda body: body["error_type"] and body["error"]),
    ("/accounts/a/ai/run/cross", CONTEXTS, lambda body: body["errors"][0]["message"]),
    ("/v1/embeddings", {"model": "bi", "input": "a"}, lambda body: body["error"]["message"]),
]


@pytest.fixture
def ask(start, tmp_path):
    def ask(limits: str, path: str, body: object):
        digest = hashlib.sha256(b"k").hexdigest()
        (tmp_path / "keys.toml").write_text(f'[team]\nsha256 = "{digest}"\n{limits}\n')
        client = start(keys_file=tmp_path / "keys.toml")
        return client.post(path, json=body, headers={"Authorization": "Bearer k"})

    return ask


@pytest.mark.parametrize(("path", "body", "message"), ROUTES, ids=[r[0] for r in ROUTES])
@pytest.mark.parametrize(
    ("limits", "status", "said"),
    [
        ("budget = 0", 402, "token budget"),
        ('methods = ["none"]', 403, "may not use"),
        ('models = ["none"]', 403, "may not use"),
        ('rate = "0/minute"', 429, "rate"),
    ],
)
def test_a_refusal_has_its_status_and_the_dialects_shape(
    ask, path, body, message, limits, status, said
):
    answer = ask(limits, path, body)
    assert answer.status_code == status
    assert said in message(answer.json())
    if status == 429:
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(("path", "body", "message"), ROUTES, ids=[r[0] for r in ROUTES])
def test_no_key_is_401_in_the_dialects_shape(start, path, body, message):
    answer = start(api_keys=("k",)).post(path, json=body)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "key" in message(answer.json())
    large = start(api_keys=("k",)).post("/rerank", json=TEXTS | {"pad": "a" * 200_000})
    assert large.status_code == 401  # read no further than it takes to refuse it
