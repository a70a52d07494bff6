"""What a caller may use up: requests by the clock, tokens by the budget.

Rates are counted by the `limits` library, in memory or in Redis; budgets are kept in SQLite or
in Redis. A store that does not answer closes the door to callers with limits (503): a limit
that fails open is none. What is owed for answers given meanwhile is paid when it is back.
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
from reranker_server.access.budgets import Budgets, Hold, SqliteBudgets
from reranker_server.errors import QuotaUnavailable, RateLimited

if TYPE_CHECKING:
    from limits.storage import Storage

    from reranker_server.access.keys import Caller
    from reranker_server.settings import ServerSettings

Value = TypeVar("Value")
log = logging.getLogger(__name__)

_THREADS = 4
_REST_SECONDS = 1.0  # how long a store that failed is left alone
_GRACE_SECONDS = 60.0  # how long a reservation outlives its request's deadline


class Charge:
    """What one request will have cost; nothing until it is settled."""

    def __init__(self, settle: Callable[[int], Future[None]] | None = None) -> None:
        self._settle = settle

    async def settle(self, tokens: int) -> None:
        """Charge the tokens, once; they are booked even if nobody waits for this any more."""
        if self._settle is not None:
            settle, self._settle = self._settle, None
            await asyncio.shield(asyncio.wrap_future(settle(tokens)))

    def give_back(self) -> None:
        """Charge nothing unless it was settled."""
        if self._settle is not None:
            settle, self._settle = self._settle, None
            settle(0)


class Quotas:
    """Counts rates and budgets.

    Args:
        rates: where rates are counted.
        budgets: where budgets are kept; None if no caller can have one.
    """

    def __init__(self, rates: Storage | None = None, budgets: Budgets | None = None) -> None:
        storage = rates or MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._in_memory = isinstance(storage, MemoryStorage)
        self.budgets = budgets
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="quota")
        self._rest_until = 0.0
        self._owed: list[tuple[Hold, int]] = []
        self._lock = threading.Lock()
        self._collector: threading.Thread | None = None
        self._closed = threading.Event()

    async def count_request(self, caller: Caller) -> None:
        """Count one request.

        Raises:
            RateLimited: it is one too many.
            QuotaUnavailable: the store does not answer.
        """
        if not caller.rates:
            return
        if self._in_memory:
            self._count(caller)
        else:
            await asyncio.wrap_future(self._pool.submit(self._try, self._count, caller))

    @contextlib.asynccontextmanager
    async def charge(self, caller: Caller, tokens: int, seconds: float) -> AsyncIterator[Charge]:
        """Reserve tokens for the length of the block, which settles what was spent or nothing.

        Raises:
            BudgetSpent: the key's budget does not reach.
            QuotaUnavailable: the store does not answer.
        """
        budgets, budget = self.budgets, caller.budget
        if budget is None or budgets is None:
            yield Charge()
            return
        taken = self._pool.submit(
            self._try, budgets.reserve, caller.name, budget, tokens, seconds + _GRACE_SECONDS
        )
        try:
            hold = await asyncio.shield(asyncio.wrap_future(taken))
        except asyncio.CancelledError:
            taken.add_done_callback(self._give_back)
            raise
        charge = Charge(lambda spent: self._pool.submit(self._settle, hold, spent))
        try:
            yield charge
        finally:
            charge.give_back()

    def close(self) -> None:
        """Book what is owed, as far as the store lets, and stop."""
        self._closed.set()
        self._pool.shutdown(wait=True)
        if self._collector is not None:
            self._collector.join()
        if self.budgets is not None:
            self._pay()
            if self._owed:
                log.error("%d answers could not be charged", len(self._owed))
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

    def _try(self, step: Callable[..., Value], *arguments: object) -> Value:
        """Take a step at the store, unless it has just failed: waiters must not pile up there."""
        if time.monotonic() < self._rest_until:
            raise QuotaUnavailable
        try:
            return step(*arguments)
        except QuotaUnavailable as error:
            log.warning("%s", error.for_operator())
            self._rest_until = time.monotonic() + _REST_SECONDS
            raise

    def _give_back(self, taken: Future[Hold]) -> None:
        if taken.exception() is None:
            self._settle(taken.result(), 0)

    def _settle(self, hold: Hold, tokens: int) -> None:
        """Book what a request spent, now or as soon as the store is back."""
        assert self.budgets is not None
        try:
            self._try(self.budgets.settle, hold, tokens)
        except QuotaUnavailable:
            with self._lock:
                self._owed.append((hold, tokens))
                if self._collector is None and not self._closed.is_set():
                    self._collector = threading.Thread(
                        target=self._collect, name="quota collector", daemon=True
                    )
                    self._collector.start()

    def _collect(self) -> None:
        while not self._closed.wait(_REST_SECONDS):
            self._pay()
            with self._lock:
                if not self._owed:
                    self._collector = None
                    return

    def _pay(self) -> None:
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
    """Return the quotas that the settings ask for.

    Raises:
        SettingsError: the Redis URL cannot be used.
        MissingExtra: Redis is asked for and its package is missing.
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
