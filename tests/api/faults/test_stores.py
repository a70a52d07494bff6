"""Where quotas are kept stops, hangs, is locked or full: no limit is passed, no charge is lost."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.live import V3, body, key_file, live, wait_until
from support.load import Clients
from support.redis_server import redis_server

from reranker_server.access.budgets_redis import RedisBudgets

NO_CONNECTION = ("ConnectError", "ReadError", "WriteError", "RemoteProtocolError")


@pytest.fixture
def sqlite_server(tmp_path):
    with live(tmp_path, keys_file=key_file(tmp_path, "budget = 10000000")) as server:
        yield server


def settled(server) -> int:
    path = server.log.parent / "keys.budgets.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT coalesce(sum(tokens), 0) FROM spent").fetchone()[0])


def test_redis_stopped_under_load_refuses_with_503_and_loses_no_charge(tmp_path):
    keys = key_file(tmp_path, 'rate = "1000000/minute"\nbudget = 10000000')
    with (
        redis_server(tmp_path) as redis,
        live(tmp_path, keys_file=keys, redis_url=redis.url) as server,
    ):
        with Clients(server, 6, lambda: body("!slow 5", "a")) as load:
            wait_until(lambda: load.statuses["200"] > 20)
            redis.stop()
            wait_until(lambda: load.statuses["503"] > 20)
            served = load.statuses["200"]
            redis.start()
            wait_until(lambda: load.statuses["200"] > served + 20)
        assert set(load.statuses) == {"200", "503"}
        assert set(load.codes) == {"quota_unavailable"}
        assert min(load.retry_after) >= 1
        budgets = RedisBudgets(redis.url)
        wait_until(lambda: budgets.spent("team", "life") >= load.tokens)
        time.sleep(1.5)  # what might be booked twice would be by now
        assert budgets.spent("team", "life") == load.tokens
        budgets.close()


def test_redis_that_hangs_does_not_hold_the_others_up(tmp_path):
    keys = key_file(tmp_path, 'rate = "1000000/minute"')
    key_file(tmp_path, "", key="free", name="free")
    with (
        redis_server(tmp_path) as redis,
        live(tmp_path, keys_file=keys, redis_url=redis.url) as server,
    ):
        assert redis.process is not None
        redis.process.send_signal(signal.SIGSTOP)
        try:
            with Clients(server, 8, lambda: body("a")), server.client("free") as client:
                for _ in range(20):
                    start = time.monotonic()
                    assert client.post(V3, json=body("a")).status_code == 200
                    assert time.monotonic() - start < 2
        finally:
            redis.process.send_signal(signal.SIGCONT)


def test_sqlite_locked_refuses_with_503_and_books_what_was_answered_later(sqlite_server):
    server = sqlite_server
    path = server.log.parent / "keys.budgets.sqlite3"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with server.client() as client, ThreadPoolExecutor(4) as pool:
        running = [pool.submit(client.post, V3, json=body("!slow 400", "a")) for _ in range(3)]
        wait_until(lambda: server.metric("reranker_working_requests") == 3)
        other.execute("BEGIN IMMEDIATE")
        answers = [each.result() for each in running]
        assert [answer.status_code for answer in answers] == [200] * 3
        refused = client.post(V3, json=body("a"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "quota_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert "SQLite" not in refused.text
        other.execute("ROLLBACK")
        other.close()
        told = sum(answer.json()["meta"]["usage"]["total_tokens"] for answer in answers)
        wait_until(lambda: settled(server) == told)
        wait_until(lambda: client.post(V3, json=body("a")).status_code == 200)


# No file of this process may grow beyond a quarter of a MiB.
FILL_DISK = """
import resource, sys
from pathlib import Path
from reranker_server.access.budgets import SqliteBudgets
from reranker_server.access.keys import TokenBudget
from reranker_server.errors import QuotaUnavailable

resource.setrlimit(resource.RLIMIT_FSIZE, (2**18, 2**18))
budgets = SqliteBudgets(Path(sys.argv[1]))
budget = TokenBudget(10**9)
budgets.settle(budgets.reserve("a", budget, 5, 60), 5)
try:
    for _ in range(10_000):
        budgets.reserve("a", budget, 1, 60)
except QuotaUnavailable as error:
    print("checked" if "checked now" in error.message else error.message)
print(budgets.spent("a", "life"))
"""


def test_a_full_disk_refuses_and_leaves_the_file_whole(tmp_path):
    path = tmp_path / "budgets.sqlite3"
    done = subprocess.run(
        [sys.executable, "-c", FILL_DISK, path], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["checked", "5"], done.stderr
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert database.execute("SELECT tokens FROM spent").fetchall() == [(5,)]


def test_sigterm_under_load_finishes_what_is_inside_and_refuses_the_rest(sqlite_server):
    server = sqlite_server
    with Clients(server, 12, lambda: body("!slow 60", "a")) as load:
        wait_until(lambda: load.statuses["200"] > 20)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
    # A connection may break only as the listening ends, before a request is inside.
    assert set(load.statuses) <= {"200", "503", *NO_CONNECTION}
    assert load.statuses["503"] >= 1
    assert set(load.codes) <= {"shutting_down"}
    log = server.log.read_text()
    assert log.count(" status=200 dialect=v3 ") == load.statuses["200"]
    assert log.count(" status=503 dialect=v3 ") == load.statuses["503"]
    assert settled(server) == load.tokens
    assert "Traceback" not in log
