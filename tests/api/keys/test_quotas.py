"""Rates and budgets as a caller meets them."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

V3 = "/api/v3/inference/reranker"
BODY = {"model": "bi", "query": "a b", "documents": ["a", "c"]}


@pytest.fixture
def limited(start, tmp_path):
    """Start a server with one key "k" of the given limits; return what sends a request."""

    def limited(limits: str, **settings):
        digest = hashlib.sha256(b"k").hexdigest()
        (tmp_path / "keys.toml").write_text(f'[team]\nsha256 = "{digest}"\n{limits}\n')
        client = start(keys_file=tmp_path / "keys.toml", **settings)

        def ask(**changes):
            return client.post(V3, json=BODY | changes, headers={"Authorization": "Bearer k"})

        ask.handler = client.app.state.handler
        return ask

    return limited


def test_over_the_rate_is_429_and_says_when(limited):
    ask = limited('rate = "3/minute; 100/hour"')
    assert [ask().status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = ask()
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert refused.json()["error"]["code"] == "rate_limited"


def test_a_budget_is_charged_what_the_answer_says_it_read(limited):
    ask = limited("budget = 1000")
    read = [ask().json()["meta"]["usage"]["total_tokens"] for _ in range(3)]
    assert ask.handler.quotas.budgets.spent("team", "life") == sum(read) > 0


def test_a_spent_budget_is_402_in_the_one_error_shape(limited):
    ask = limited("budget = 9")
    statuses = [ask().status_code for _ in range(6)]
    assert statuses[0] == 200
    assert statuses[-1] == 402
    body = ask().json()
    assert body["error"]["type"] == "insufficient_credits"
    assert isinstance(body["detail"], str)


def test_a_failed_or_refused_request_is_not_charged(limited, models):
    ask = limited("budget = 1000")

    def fail(*_, **__):
        raise RuntimeError("no")

    models.bi.encode = fail
    assert ask().status_code == 500
    assert ask(query="").status_code == 422
    assert ask(model="nope").status_code == 404
    assert ask.handler.quotas.budgets.spent("team", "life") == 0
    del models.bi.encode
    assert ask().status_code == 200
    hold = ask.handler.quotas.budgets.reserve("team", _budget(), 900, 1)
    assert hold  # nothing of the failed ones is still held


def _budget():
    from reranker_server.access.keys import TokenBudget

    return TokenBudget(1000)


def test_many_at_once_are_charged_exactly(limited):
    ask = limited("budget = 200", max_concurrent=4)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(), range(80)))
    good = [a.json()["meta"]["usage"]["total_tokens"] for a in answers if a.status_code == 200]
    assert {a.status_code for a in answers} == {200, 402}
    assert ask.handler.quotas.budgets.spent("team", "life") == sum(good)
    # A reservation is an estimate: the last ones inside may overrun it, and no more than they.
    assert sum(good) <= 200 + 4 * max(good)


def test_budgets_outlive_the_server(limited):
    ask = limited("budget = 1000")
    assert ask().status_code == 200
    spent = ask.handler.quotas.budgets.spent("team", "life")
    again = limited("budget = 1000")
    assert again.handler.quotas.budgets.spent("team", "life") == spent > 0
