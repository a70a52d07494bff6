"""A store of bytes in Redis that several processes share, and that may fail at any time.

A Redis that fails or is slow costs speed, never the request: look-ups give up soon, and after a
failure Redis is left alone for a while, with one warning in the log for the whole outage.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from reranker.errors import MissingExtra, SettingsError

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 0.25  # Redis has to connect and to answer within this
_REST_SECONDS = 5.0  # how long it is left alone after a failure
_KEYS_A_TRIP = 128
_BYTES_A_TRIP = 4 << 20


class RedisStore:
    """Bytes by key in Redis, for as long as it answers.

    Args:
        url: such as redis://127.0.0.1:6379/0.
        seconds: that an entry is kept for.

    Raises:
        MissingExtra: the redis package is not installed.
        SettingsError: the URL cannot be used.
    """

    def __init__(self, url: str, seconds: int) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise MissingExtra(
                "a cache in Redis needs the redis package: pip install 'reranker[redis]'"
            ) from error
        self._errors = (redis.RedisError, OSError)
        try:
            self._redis: Any = redis.Redis.from_url(
                url,
                socket_timeout=_ANSWER_SECONDS,
                socket_connect_timeout=_ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 1),  # on a new connection, as the old one may be dead
            )
        except ValueError as error:
            raise SettingsError(
                "cannot be used as the URL of a Redis", param="cache_redis_url"
            ) from error
        self._seconds = seconds
        self._lock = threading.Lock()
        self._failed_at = self._rests_until = 0.0
        self._out = False

    def find(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the value of each key, None where Redis has none or is too slow."""
        found: list[bytes | None] = []
        trips = [keys[i : i + _KEYS_A_TRIP] for i in range(0, len(keys), _KEYS_A_TRIP)]
        for trip in trips:
            answer = self._try(self._redis.mget, trip)
            if answer is None:
                break
            found += answer
        return found + [None] * (len(keys) - len(found))

    def keep(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Store each value, if Redis is available."""
        trip: list[tuple[str, bytes]] = []
        held = 0
        for key, data in items:
            trip.append((key, data))
            held += len(data)
            if held > _BYTES_A_TRIP or len(trip) >= _KEYS_A_TRIP:
                self._try(self._write, trip)
                trip, held = [], 0
        if trip:
            self._try(self._write, trip)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _write(self, items: Sequence[tuple[str, bytes]]) -> bool:
        pipeline = self._redis.pipeline(transaction=False)
        for key, data in items:
            pipeline.set(key, data, ex=self._seconds)
        pipeline.execute()
        return True

    def _try(self, command: Callable[[Any], Any], argument: Any) -> Any:
        """Call Redis; None after a failure, and for a while afterwards."""
        with self._lock:
            now = time.monotonic()
            if now < self._rests_until:
                return None
            if self._out:  # one caller tries again, the others go on without Redis
                self._rests_until = now + _REST_SECONDS
        try:
            answer = command(argument)
        except self._errors as error:
            self._failed(error)
            return None
        if self._out:
            self._answered(asked=now)
        return answer

    def _failed(self, error: Exception) -> None:
        with self._lock:
            new, self._out = not self._out, True
            self._failed_at = time.monotonic()
            self._rests_until = self._failed_at + _REST_SECONDS
        if new:
            log.warning("the shared cache does not answer, so results are computed: %s", error)

    def _answered(self, asked: float) -> None:
        with self._lock:
            if not self._out or asked < self._failed_at:  # an answer from before the outage
                return
            self._out, self._rests_until = False, 0.0
        log.info("the shared cache answers again")
