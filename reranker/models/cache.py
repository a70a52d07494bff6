"""Results kept by content: least recently used, bounded by bytes.

A key holds everything the result depends on (the weights' digest, the role, how the text was
cut) and a digest of the text itself, each part of fixed length or length-prefixed, so no two
inputs can share a key. A result is the same with and without the cache.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")
_ENTRY_OVERHEAD = 200  # bytes of key and bookkeeping, about


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Look-ups that found something and that did not, entries and bytes held."""

    hits: int
    misses: int
    entries: int
    bytes: int


def key(*parts: str | int) -> bytes:
    """Return a digest of the parts that no other list of parts has."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = str(part).encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()


class Cache(Generic[Value]):
    """A thread-safe store of results.

    Args:
        max_bytes: the most memory to hold; 0 switches the cache off.
        size: bytes of a value.
    """

    def __init__(self, max_bytes: int, size: Callable[[Value], int]) -> None:
        self.max_bytes = max_bytes
        self._size = size
        self._entries: OrderedDict[bytes, Value] = OrderedDict()
        self._bytes = self._hits = self._misses = 0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Value | None:
        """Return the value and mark it as used, or None."""
        with self._lock:
            value = self._entries.get(key)
            if value is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return value

    def put(self, key: bytes, value: Value) -> None:
        """Keep the value, dropping the least recently used ones to make room."""
        size = self._cost(value)
        if size > self.max_bytes:
            return
        with self._lock:
            old = self._entries.pop(key, None)
            if old is not None:
                self._bytes -= self._cost(old)
            self._entries[key] = value
            self._bytes += size
            while self._bytes > self.max_bytes:
                self._bytes -= self._cost(self._entries.popitem(last=False)[1])

    def complete(
        self,
        keys: Sequence[bytes],
        compute: Callable[[list[int]], Sequence[Value]],
        usable: Callable[[Value], bool] = lambda _: True,
    ) -> tuple[list[Value], int]:
        """Return the value of every key, computing those that are missing together.

        Args:
            keys: of n values.
            compute: maps the positions of missing values to those values.
            usable: says of a kept value whether it will do; else it is computed anew.

        Returns:
            The n values, and how many of them were kept ones.
        """
        found = [self.get(each) if self.max_bytes else None for each in keys]
        missing = [i for i, value in enumerate(found) if value is None or not usable(value)]
        if missing:
            for i, value in zip(missing, compute(missing), strict=True):
                found[i] = value
                self.put(keys[i], value)
        return [value for value in found if value is not None], len(keys) - len(missing)

    @property
    def stats(self) -> CacheStats:
        """Return the counts so far."""
        with self._lock:
            return CacheStats(self._hits, self._misses, len(self._entries), self._bytes)

    def _cost(self, value: Value) -> int:
        return self._size(value) + _ENTRY_OVERHEAD
