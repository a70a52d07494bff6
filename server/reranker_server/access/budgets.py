"""Token budgets: a request reserves its estimated tokens and settles the real ones.

What is settled plus what is reserved never exceeds the budget, however many requests and
processes there are. A request that fails or is dropped releases its reservation; that of a
process that died expires. So a request is charged exactly when it was served.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reranker_server.errors import BudgetSpent, QuotaUnavailable

if TYPE_CHECKING:
    from reranker_server.access.keys import TokenBudget

_LOCK_SECONDS = 2.0  # how long to wait for another process's write
_RETRY_SECONDS = 0.005  # creating a file takes less

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS spent (
    name TEXT, period TEXT, tokens INTEGER NOT NULL, PRIMARY KEY (name, period)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (
    id TEXT PRIMARY KEY, name TEXT, period TEXT, tokens INTEGER NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS held_by_name ON held (name, period);
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Tokens set aside for one request."""

    name: str
    period: str
    tokens: int
    id: str = field(default_factory=lambda: secrets.token_hex(16))


class BudgetStore(Protocol):
    """A store of spent tokens; every method raises QuotaUnavailable if it cannot be reached."""

    def reserve(self, name: str, budget: TokenBudget, tokens: int, seconds: float) -> Reservation:
        """Set tokens aside for at most so many seconds.

        Raises:
            BudgetSpent: fewer are left.
        """

    def settle(self, hold: Reservation, tokens: int) -> None:
        """Replace a reservation by what was spent; 0 releases it. Once per reservation."""

    def spent(self, name: str, period: str) -> int:
        """Return the tokens settled."""

    def close(self) -> None:
        """Close the store."""


def budget_spent(left: int, tokens: int) -> BudgetSpent:
    """Return the error of a budget with too few tokens left."""
    return BudgetSpent(
        f"the key's token budget has {max(0, left)} left and the request needs about {tokens}"
    )


class SqliteBudgets:
    """Budgets in a file, shared by all processes of this machine.

    Args:
        path: the file, created when first needed.
        lock_seconds: how long to wait for another process's write.
    """

    def __init__(self, path: Path, lock_seconds: float = _LOCK_SECONDS) -> None:
        self._path, self._lock_seconds = path, lock_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def reserve(self, name: str, budget: TokenBudget, tokens: int, seconds: float) -> Reservation:
        """Set tokens aside; see `BudgetStore.reserve`."""
        now = time.time()
        hold = Reservation(name, budget.period(), tokens)
        with self._transaction() as db:
            db.execute("DELETE FROM held WHERE expires < ?", (now,))
            (taken,) = db.execute(
                "SELECT coalesce(sum(tokens), 0) FROM (SELECT name, period, tokens FROM spent"
                " UNION ALL SELECT name, period, tokens FROM held) WHERE name = ? AND period = ?",
                (name, hold.period),
            ).fetchone()
            if taken + tokens > budget.tokens:
                raise budget_spent(budget.tokens - taken, tokens)
            db.execute(
                "INSERT INTO held VALUES (?, ?, ?, ?, ?)",
                (hold.id, name, hold.period, tokens, now + seconds),
            )
        return hold

    def settle(self, hold: Reservation, tokens: int) -> None:
        """Replace a reservation by what was spent; see `BudgetStore.settle`."""
        with self._transaction() as db:
            db.execute("DELETE FROM held WHERE id = ?", (hold.id,))
            if tokens:
                db.execute(
                    "INSERT INTO spent VALUES (?, ?, ?)"
                    " ON CONFLICT (name, period) DO UPDATE SET tokens = tokens + excluded.tokens",
                    (hold.name, hold.period, tokens),
                )

    def spent(self, name: str, period: str) -> int:
        """Return the tokens settled."""
        with self._transaction() as db:
            row = db.execute(
                "SELECT tokens FROM spent WHERE name = ? AND period = ?", (name, period)
            ).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            db = sqlite3.connect(
                self._path,
                timeout=self._lock_seconds,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._use_wal(db)
                # In WAL mode this survives the death of the process; only a power cut may cost
                # the last moments, and none of the file's integrity.
                db.execute("PRAGMA synchronous = NORMAL")
                db.executescript(_SCHEMA)
            except BaseException:
                db.close()
                raise
            self._connection = db
        return self._connection

    def _use_wal(self, db: sqlite3.Connection) -> None:
        """Switch to the write-ahead log, waiting for others that open a new file just now.

        SQLite's own lock timeout does not cover this switch, as two could wait for each other.
        """
        until = time.monotonic() + self._lock_seconds
        while True:
            try:
                db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(_RETRY_SECONDS)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Take the write lock for the block: a read decides whether to write."""
        with self._lock, _translated():
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise QuotaUnavailable(detail=f"SQLite: {error}") from error
