"""Token budgets in Redis, shared by many machines, with the same guarantees as in SQLite.

Each step is one script, which Redis runs atomically. A step whose response was lost may be sent
again: the reservation's id makes it idempotent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from reranker.errors import MissingExtra
from reranker_server.access.budgets import Reservation, budget_spent
from reranker_server.errors import QuotaUnavailable

if TYPE_CHECKING:
    from reranker_server.access.keys import TokenBudget

_TIMEOUT_SECONDS = 1.0
_REMEMBER_SECONDS = 86_400  # how long a settled reservation is recognised

# KEYS: spent, held (id -> tokens), expiry (id by time). ARGV: id, tokens, budget, seconds.
_RESERVE = """
local now = tonumber(redis.call('TIME')[1])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
  redis.call('HDEL', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
end
redis.call('HDEL', KEYS[2], ARGV[1])
local taken = tonumber(redis.call('GET', KEYS[1]) or '0')
for _, tokens in ipairs(redis.call('HVALS', KEYS[2])) do taken = taken + tonumber(tokens) end
if taken + tonumber(ARGV[2]) > tonumber(ARGV[3]) then return {0, tonumber(ARGV[3]) - taken} end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], now + tonumber(ARGV[4]), ARGV[1])
return {1, 0}
"""

# KEYS: spent, held, expiry, settled. ARGV: id, tokens, seconds to remember.
_SETTLE = """
if not redis.call('SET', KEYS[4], '1', 'NX', 'EX', ARGV[3]) then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('INCRBY', KEYS[1], ARGV[2])
return 1
"""


def redis_options() -> dict[str, Any]:
    """Return the options of a connection: a short timeout, and one retry on a new connection."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "socket_timeout": _TIMEOUT_SECONDS,
        "socket_connect_timeout": _TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 1),
    }


class RedisBudgets:
    """Budgets in Redis.

    Args:
        url: such as redis://127.0.0.1:6379/0.
        prefix: of every key there.

    Raises:
        MissingExtra: the redis package is not installed.
    """

    def __init__(self, url: str, prefix: str = "reranker") -> None:
        try:
            import redis
        except ImportError as error:
            raise MissingExtra(
                "budgets in Redis need the redis package: pip install 'reranker[redis]'"
            ) from error
        self._error = redis.RedisError
        self._redis: Any = redis.Redis.from_url(url, **redis_options())
        self._reserve = self._redis.register_script(_RESERVE)
        self._settle = self._redis.register_script(_SETTLE)
        self._prefix = prefix

    def reserve(self, name: str, budget: TokenBudget, tokens: int, seconds: float) -> Reservation:
        """Set tokens aside; see `BudgetStore.reserve`."""
        hold = Reservation(name, budget.period(), tokens)
        with self._translated():
            granted, left = self._reserve(
                self._keys(name, hold.period), [hold.id, tokens, budget.tokens, int(seconds) + 1]
            )
        if not granted:
            raise budget_spent(int(left), tokens)
        return hold

    def settle(self, hold: Reservation, tokens: int) -> None:
        """Replace a reservation by what was spent; see `BudgetStore.settle`."""
        keys = self._keys(hold.name, hold.period)
        keys.append(f"{self._prefix}:{{{hold.name}}}:settled:{hold.id}")
        with self._translated():
            self._settle(keys, [hold.id, tokens, _REMEMBER_SECONDS])

    def spent(self, name: str, period: str) -> int:
        """Return the tokens settled."""
        with self._translated():
            return int(self._redis.get(self._keys(name, period)[0]) or 0)

    def close(self) -> None:
        """Close the connections."""
        with contextlib.suppress(self._error):
            self._redis.close()

    def _keys(self, name: str, period: str) -> list[str]:
        # The braces keep the keys of a caller on one node of a cluster.
        start = f"{self._prefix}:{{{name}}}:{period}"
        return [f"{start}:spent", f"{start}:held", f"{start}:expiry"]

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise QuotaUnavailable(detail=f"Redis: {error}") from error
