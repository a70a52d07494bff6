"""Quotas of a caller: requests per time (rates) and tokens per period (budgets).

Rates are counted by the `limits` library, in memory or in Redis; budgets are kept in SQLite or
in Redis. While a store does not respond, callers with limits get 503: a limit that fails open is
none. Charges that could not be settled meanwhile are settled when it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from reranker.errors import SettingsError
from reranker_server.access.budgets import BudgetStore, Reservation, SqliteBudgets
from reranker_server.errors import QuotaUnavailable, RateLimited

if TYPE_CHECKING:
    from limits.storage import Storage

    from reranker_server.access.keys import Caller
    from reranker_server.settings import ServerSettings

ResultT = TypeVar("ResultT")
log = logging.getLogger(__name__)

_THREADS = 4
_RETRY_SECONDS = 1.0  # no attempts for so long after a failure
_GRACE_SECONDS = 60.0  # how long a reservation outlives its request's deadline


class Charge:
    """The charge of one request; nothing until it is settled."""

    def __init__(self, settle: Callable[[int], Future[None]] | None = None) -> None:
        self._settle = settle

    async def settle(self, tokens: int) -> None:
        """Charge the tokens, once; cancelling the wait does not cancel the charge."""
        if self._settle is not None:
            settle, self._settle = self._settle, None
            await asyncio.shield(asyncio.wrap_future(settle(tokens)))

    def release(self) -> None:
        """Release the reservation unless it was settled."""
        if self._settle is not None:
            settle, self._settle = self._settle, None
            settle(0)


class Quotas:
    """Counts requests and tokens.

    Args:
        rates: store of the rates.
        budgets: store of the budgets; None if no caller can have one.
    """

    def __init__(self, rates: Storage | None = None, budgets: BudgetStore | None = None) -> None:
        storage = rates or MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._in_memory = isinstance(storage, MemoryStorage)
        self.budgets = budgets
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="quota")
        self._retry_at = 0.0
        self._owed: list[tuple[Reservation, int]] = []
        self._lock = threading.Lock()
        self._collector: threading.Thread | None = None
        self._closed = threading.Event()

    async def count_request(self, caller: Caller) -> None:
        """Count one request.

        Raises:
            RateLimited: the caller is over its rate.
            QuotaUnavailable: the store does not respond.
        """
        if not caller.rates:
            return
        if self._in_memory:
            self._count(caller)
        else:
            await asyncio.wrap_future(self._pool.submit(self._try, self._count, caller))

    @contextlib.asynccontextmanager
    async def charge(self, caller: Caller, tokens: int, seconds: float) -> AsyncIterator[Charge]:
        """Reserve tokens for the block; what it does not settle is released.

        Raises:
            BudgetSpent: fewer tokens are left.
            QuotaUnavailable: the store does not respond.
        """
        budgets, budget = self.budgets, caller.budget
        if budget is None or budgets is None:
            yield Charge()
            return
        reserved = self._pool.submit(
            self._try, budgets.reserve, caller.name, budget, tokens, seconds + _GRACE_SECONDS
        )
        try:
            hold = await asyncio.shield(asyncio.wrap_future(reserved))
        except asyncio.CancelledError:
            reserved.add_done_callback(self._release)
            raise
        charge = Charge(lambda spent: self._pool.submit(self._settle, hold, spent))
        try:
            yield charge
        finally:
            charge.release()

    def close(self) -> None:
        """Settle what is owed, as far as the store responds, and stop."""
        self._closed.set()
        self._pool.shutdown(wait=True)
        if self._collector is not None:
            self._collector.join()
        if self.budgets is not None:
            self._settle_owed()
            if self._owed:
                log.error("%d responses could not be charged", len(self._owed))
            self.budgets.close()

    def _count(self, caller: Caller) -> None:
        limiter = self._limiter
        try:
            for rate in caller.rates:
                if not limiter.test(rate, caller.name):
                    after = limiter.get_window_stats(rate, caller.name).reset_time - time.time()
                    raise RateLimited(f"over this key's rate of {rate}", retry_after=after)
            hits = [limiter.hit(rate, caller.name) for rate in caller.rates]
            if not all(hits):  # another request was faster
                raise RateLimited("over this key's rate")
        except StorageError as error:
            raise QuotaUnavailable(detail=str(error.storage_error)) from error

    def _try(self, call: Callable[..., ResultT], *arguments: object) -> ResultT:
        """Call the store, unless it has just failed: waiters must not pile up there."""
        if time.monotonic() < self._retry_at:
            raise QuotaUnavailable
        try:
            return call(*arguments)
        except QuotaUnavailable as error:
            log.warning("%s", error.for_operator())
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            raise

    def _release(self, reserved: Future[Reservation]) -> None:
        if reserved.exception() is None:
            self._settle(reserved.result(), 0)

    def _settle(self, hold: Reservation, tokens: int) -> None:
        """Charge what a request spent, now or as soon as the store is back."""
        assert self.budgets is not None
        try:
            self._try(self.budgets.settle, hold, tokens)
        except QuotaUnavailable:
            with self._lock:
                self._owed.append((hold, tokens))
                if self._collector is None and not self._closed.is_set():
                    self._collector = threading.Thread(
                        target=self._settle_later, name="quota collector", daemon=True
                    )
                    self._collector.start()

    def _settle_later(self) -> None:
        while not self._closed.wait(_RETRY_SECONDS):
            self._settle_owed()
            with self._lock:
                if not self._owed:
                    self._collector = None
                    return

    def _settle_owed(self) -> None:
        assert self.budgets is not None
        with self._lock:
            owed = list(self._owed)
        for debt in owed:
            try:
                self.budgets.settle(*debt)
            except QuotaUnavailable:
                return
            with self._lock:
                self._owed.remove(debt)


def open_quotas(settings: ServerSettings) -> Quotas:
    """Return the quotas that the settings describe.

    Raises:
        SettingsError: the Redis URL cannot be used.
        MissingExtra: Redis is configured and its package is not installed.
    """
    if settings.redis_url is not None:
        from reranker_server.access.budgets_redis import RedisBudgets, redis_options

        budgets = RedisBudgets(settings.redis_url)
        try:
            storage = storage_from_string(
                settings.redis_url, wrap_exceptions=True, key_prefix="reranker", **redis_options()
            )
        except Exception as error:
            raise SettingsError("redis_url cannot be used", detail=str(error)) from error
        return Quotas(storage, budgets)  # type: ignore[arg-type]
    if settings.keys_file is None:
        return Quotas()
    path = settings.budgets_file or settings.keys_file.with_suffix(".budgets.sqlite3")
    return Quotas(budgets=SqliteBudgets(path))
