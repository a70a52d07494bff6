"""Budgets, in SQLite and in Redis alike: never overspent, charged once, whatever happens."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from support.redis_server import redis_server

from reranker_server.access.budgets import SqliteBudgets
from reranker_server.access.keys import TokenBudget
from reranker_server.errors import BudgetSpent, QuotaUnavailable

LIFE = TokenBudget(100)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(params=["sqlite", "redis"])
def store(request, tmp_path):
    """Return a function that opens the same store again and again."""
    opened = []
    if request.param == "redis":
        from reranker_server.access.budgets_redis import RedisBudgets

        url = request.getfixturevalue("redis_url")

        def start():
            opened.append(RedisBudgets(url, prefix=tmp_path.name))
            return opened[-1]
    else:

        def start():
            opened.append(SqliteBudgets(tmp_path / "budgets.sqlite3"))
            return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_what_is_reserved_counts_until_it_is_settled(store):
    budgets = store()
    hold = budgets.reserve("a", LIFE, 80, 60)
    with pytest.raises(BudgetSpent, match="20 left"):
        budgets.reserve("a", LIFE, 21, 60)
    budgets.settle(hold, 30)
    assert budgets.spent("a", "life") == 30
    budgets.reserve("a", LIFE, 70, 60)
    with pytest.raises(BudgetSpent, match="0 left"):
        budgets.reserve("a", LIFE, 1, 60)
    assert store().reserve("b", LIFE, 100, 60)


def test_what_is_given_back_is_free_again(store):
    budgets = store()
    budgets.settle(budgets.reserve("a", LIFE, 100, 60), 0)
    assert budgets.spent("a", "life") == 0
    assert budgets.reserve("a", LIFE, 100, 60)


def test_periods_are_apart(store):
    budgets = store()
    budgets.settle(budgets.reserve("a", TokenBudget(10, "day"), 10, 60), 10)
    assert budgets.reserve("a", TokenBudget(10, "month"), 10, 60)
    assert TokenBudget(1, "day").period(datetime(2026, 2, 3, tzinfo=UTC)) == "2026-02-03"
    assert TokenBudget(1, "month").period(datetime(2026, 2, 3, tzinfo=UTC)) == "2026-02"


def test_a_reservation_of_a_process_that_died_runs_out(store):
    store().reserve("a", LIFE, 100, -2)
    assert store().reserve("a", LIFE, 100, 60)


def test_many_threads_and_openings_never_overspend(store):
    openings = [store() for _ in range(4)]

    def spend(at: int) -> int:
        try:
            hold = openings[at % 4].reserve("a", LIFE, 3, 60)
        except BudgetSpent:
            return 0
        openings[(at + 1) % 4].settle(hold, 2 if at % 3 else 0)
        return 2 if at % 3 else 0

    with ThreadPoolExecutor(8) as pool:
        spent = sum(pool.map(spend, range(120)))
    # The last ones may have been refused for what others held and then did not spend.
    while more := spend(1):
        spent += more
    assert openings[0].spent("a", "life") == spent <= LIFE.tokens
    assert spent > LIFE.tokens - 3


def test_a_settlement_sent_twice_to_redis_counts_once(redis_url, tmp_path):
    from reranker_server.access.budgets_redis import RedisBudgets

    budgets = RedisBudgets(redis_url, prefix=tmp_path.name)
    hold = budgets.reserve("a", LIFE, 10, 60)
    budgets.settle(hold, 7)
    budgets.settle(hold, 7)
    assert budgets.spent("a", "life") == 7
    budgets.close()


def _spend_and_die(path: str, settled: int) -> None:
    budgets = SqliteBudgets(path)
    for _ in range(settled):
        budgets.settle(budgets.reserve("a", LIFE, 5, 60), 5)
    budgets.reserve("a", LIFE, 5, 60)
    os._exit(1)


def test_a_crash_loses_no_settlement_and_charges_nothing_unfinished(tmp_path):
    path = tmp_path / "budgets.sqlite3"
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_spend_and_die, args=(path, 3))
    process.start()
    process.join(60)
    assert process.exitcode == 1
    budgets = SqliteBudgets(path)
    assert budgets.spent("a", "life") == 15
    with pytest.raises(BudgetSpent, match="80 left"):  # the unfinished one still holds its 5
        budgets.reserve("a", LIFE, 81, 60)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE held SET expires = 0")
    db.close()
    assert budgets.reserve("a", LIFE, 85, 60)
    budgets.close()


def test_a_file_that_another_process_makes_just_now_is_waited_for(tmp_path):
    """SQLite would not wait when it switches a new file to its write-ahead log."""
    path = tmp_path / "budgets.sqlite3"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.1, other.execute, ["ROLLBACK"])
    timer.start()
    budgets = SqliteBudgets(path, lock_seconds=30)
    assert budgets.reserve("a", LIFE, 1, 60)
    timer.join()
    budgets.close()
    other.close()


def test_a_locked_or_broken_file_is_told_apart_from_a_spent_budget(tmp_path):
    path = tmp_path / "budgets.sqlite3"
    budgets = SqliteBudgets(path, lock_seconds=0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(QuotaUnavailable):
        budgets.reserve("a", LIFE, 1, 60)
    other.execute("ROLLBACK")
    other.close()
    assert budgets.reserve("a", LIFE, 1, 60)
    budgets.close()
    (tmp_path / "broken.sqlite3").write_text("no database " * 100)
    for bad in (tmp_path / "broken.sqlite3", tmp_path / "nowhere" / "budgets.sqlite3"):
        with pytest.raises(QuotaUnavailable):
            SqliteBudgets(bad).reserve("a", LIFE, 1, 60)
