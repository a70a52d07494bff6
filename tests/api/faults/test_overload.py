"""Ten times more than the server can do: it stays up and small, and keeps its word to those in."""

from __future__ import annotations

from support.live import body, key_file, live, wait_until
from support.load import Clients

CONCURRENT, QUEUE, WORK_MS = 2, 4, 25


def payload():
    return body(f"!slow {WORK_MS}", "a" + " " * 20_000)


def test_under_ten_times_overload_the_admitted_keep_their_latency(tmp_path):
    settings = {"max_concurrent": CONCURRENT, "max_queue": QUEUE}
    with live(tmp_path, **settings) as server:
        with Clients(server, CONCURRENT, payload) as usual:
            wait_until(lambda: len(usual.seconds) > 40, 30)
        memory = server.metric("process_resident_memory_bytes")
        with Clients(server, 10 * CONCURRENT, payload) as load:
            wait_until(lambda: len(load.seconds) > 80, 60)
        assert set(load.statuses) == {"200", "429"}
        assert load.statuses["429"] > load.statuses["200"] / 2
        assert min(load.retry_after) >= 1
        # At most the queue is waited for, however many ask.
        most = 1 + QUEUE / CONCURRENT
        assert load.p(0.5) < most * usual.p(0.5) * 1.5
        assert load.p(0.95) < most * usual.p(0.95) * 2
        assert server.metric("process_resident_memory_bytes") - memory < 50e6
        assert server.metric("reranker_queued_requests") == 0
        counted = server.metric("reranker_requests_total", dialect="v3")
        assert counted == sum(load.statuses.values()) + sum(usual.statuses.values())


def test_one_key_cannot_crowd_out_another(tmp_path):
    keys = key_file(tmp_path)
    key_file(tmp_path, key="other", name="other")
    settings = {"max_concurrent": CONCURRENT, "max_queue": QUEUE, "keys_file": keys}
    with live(tmp_path, **settings) as server, Clients(server, 16, payload) as greedy:
        wait_until(lambda: greedy.statuses["429"] > 10)
        with Clients(server, 2, payload, key="other") as modest:
            wait_until(lambda: len(modest.seconds) > 20, 60)
    assert modest.statuses["429"] <= modest.statuses["200"] / 10
    assert greedy.statuses["429"] > modest.statuses["429"]
