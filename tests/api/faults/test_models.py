"""Models that raise or die: one request fails, the others do not notice, all are counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.live import V3, body, wait_until


@pytest.fixture
def post(shared):
    with shared.client() as client:
        yield lambda *documents, **changes: client.post(V3, json=body(*documents, **changes))


def statuses(shared) -> dict[str, float]:
    return {
        status: shared.metric("reranker_requests_total", dialect="v3", status=status)
        for status in ("200", "500")
    }


@pytest.mark.parametrize("method", ["fast", "optimal", "best"])
def test_a_batch_that_raises_fails_only_the_request_at_fault(shared, post, method):
    changes = {"method": method, "model_cross": "cross"}
    expected = post("a", "b c", **changes).json()["results"]
    before, failed = statuses(shared), shared.metric("reranker_failed_items_total")
    tokens = shared.metric("reranker_tokens_total")
    requests = [("a", "!raise")] + [("a", "b c")] * 15 + [("!slow 20", "a")] * 2
    with ThreadPoolExecutor(18) as pool:
        answers = list(pool.map(lambda documents: post(*documents, **changes), requests))
    assert [answer.status_code for answer in answers] == [500] + [200] * 17
    assert "!raise" not in answers[0].text.replace('"document"', "")
    assert all(answer.json()["results"] == expected for answer in answers[1:16])
    after = statuses(shared)
    assert after["200"] - before["200"] == 17
    assert after["500"] - before["500"] == 1
    assert shared.metric("reranker_failed_items_total") - failed == 1
    told = sum(a.json()["meta"]["usage"]["total_tokens"] for a in answers[1:])
    assert shared.metric("reranker_tokens_total") - tokens == told


def test_a_worker_that_dies_is_replaced_and_every_waiter_is_answered(shared, post):
    before = statuses(shared)
    requests = [("!slow 30", "a")] * 4 + [("!kill", "a")] + [("a", "c")] * 10
    with ThreadPoolExecutor(15) as pool:
        answers = list(pool.map(lambda documents: post(*documents), requests))
    codes = [answer.status_code for answer in answers]
    assert codes[4] == 500
    assert set(codes) <= {200, 500}
    assert post("a").status_code == 200
    with shared.client() as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
    after = statuses(shared)
    assert after["200"] - before["200"] == codes.count(200) + 1
    assert after["500"] - before["500"] == codes.count(500)
    wait_until(lambda: shared.metric("reranker_working_requests") == 0)
