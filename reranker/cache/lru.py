"""An in-memory cache of results by content: LRU, bounded by bytes.

A key holds everything the result depends on (the weights' digest, the role, how the text was
cut) and a digest of the text itself, each part of fixed length or length-prefixed, so no two
inputs can share a key. A result is the same with and without the cache.

Behind the memory of the process there may be a second tier that other processes share; see
`reranker.cache.tier`.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from reranker.cache.tier import SharedTier

Value = TypeVar("Value")
_ENTRY_OVERHEAD = 200  # bytes of key and bookkeeping, about


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Hits and misses, entries and bytes held; look-ups in the shared tier are counted apart."""

    hits: int
    misses: int
    entries: int
    bytes: int
    shared_hits: int = 0
    shared_misses: int = 0


def cache_keys(scope: Iterable[str | int], texts: Iterable[str]) -> list[bytes]:
    """Return a key for each text within a scope; no other scope and text have the same.

    Args:
        scope: all that a result depends on beside the text.
        texts: of one request.
    """
    common = hashlib.blake2b(digest_size=16)
    for part in scope:
        _add(common, str(part))
    keys = []
    for text in texts:
        digest = common.copy()
        _add(digest, text)
        keys.append(digest.digest())
    return keys


def _add(digest: hashlib.blake2b, part: str) -> None:
    data = part.encode("utf-8", "surrogatepass")
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)


class Cache(Generic[Value]):
    """A thread-safe store of results.

    Args:
        max_bytes: the most memory to hold; 0 switches the cache off.
        size: bytes of a value.
    """

    def __init__(self, max_bytes: int, size: Callable[[Value], int]) -> None:
        self.max_bytes = max_bytes
        self.shared: SharedTier[Value] | None = None
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
        kind: str = "",
    ) -> tuple[list[Value], int]:
        """Return the value of every key, computing those that are missing together.

        Args:
            keys: of n values.
            compute: maps the positions of missing values to those values.
            usable: tells whether a cached value is enough; else it is computed again.
            kind: the kind of record that the shared tier is asked for.

        Returns:
            The n values, and how many of them came from a cache.
        """
        found = [self.get(each) if self.max_bytes else None for each in keys]
        missing = [i for i, value in enumerate(found) if value is None or not usable(value)]
        if missing and self.shared is not None:
            others = self.shared.find([keys[i] for i in missing], kind)
            for i, value in zip(missing, others, strict=True):
                if value is not None and usable(value):
                    found[i] = value
                    self.put(keys[i], value)
            missing = [i for i in missing if (value := found[i]) is None or not usable(value)]
        if missing:
            computed = list(compute(missing))
            for i, value in zip(missing, computed, strict=True):
                found[i] = value
                self.put(keys[i], value)
            if self.shared is not None:
                self.shared.keep([keys[i] for i in missing], computed)
        return [value for value in found if value is not None], len(keys) - len(missing)

    @property
    def stats(self) -> CacheStats:
        """Return the counts so far."""
        with self._lock:
            kept = (self._hits, self._misses, len(self._entries), self._bytes)
        return CacheStats(*kept, *(self.shared.counts if self.shared is not None else ()))

    def _cost(self, value: Value) -> int:
        return self._size(value) + _ENTRY_OVERHEAD
