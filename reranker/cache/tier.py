"""Results that several processes share: the second tier behind a `Cache`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

_FORMAT = 2  # raise it when what is computed or written for a key changes

Value = TypeVar("Value")


class Store(Protocol):
    """Bytes by key, somewhere; it never raises, but may have forgotten everything."""

    def find(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is stored under each key, or None."""

    def keep(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Store bytes under each key, if that is possible."""

    def close(self) -> None:
        """Release connections."""


class Codec(Protocol[Value]):
    """How the records of a model family are measured and written."""

    def size(self, record: Value) -> int:
        """Return the bytes that a record takes in memory."""

    def encode(self, record: Value) -> Mapping[str, bytes]:
        """Return the bytes to write, by kind of record."""

    def decode(self, data: bytes) -> Value | None:
        """Return the record that was written; None if it is something else."""


class SharedTier(Generic[Value]):
    """The records of one model in a store that other processes use too.

    Args:
        store: where.
        namespace: returns a digest of all that results depend on and keys do not hold.
        codec: of the records.
    """

    def __init__(self, store: Store, namespace: Callable[[], str], codec: Codec[Value]) -> None:
        self._store = store
        self.namespace = namespace
        self._codec = codec
        self._hits = self._misses = 0
        self._lock = threading.Lock()

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many look-ups found something and how many did not."""
        with self._lock:
            return self._hits, self._misses

    def find(self, keys: Sequence[bytes], kind: str) -> list[Value | None]:
        """Return the record of each key, of that kind, or None."""
        found = [
            None if data is None else self._codec.decode(data)
            for data in self._store.find([self._name(key, kind) for key in keys])
        ]
        hits = sum(value is not None for value in found)
        with self._lock:
            self._hits += hits
            self._misses += len(found) - hits
        return found

    def keep(self, keys: Sequence[bytes], values: Sequence[Value]) -> None:
        """Write records, each as all the kinds it has something for."""
        self._store.keep(
            (self._name(key, kind), data)
            for key, value in zip(keys, values, strict=True)
            for kind, data in self._codec.encode(value).items()
        )

    def _name(self, key: bytes, kind: str) -> str:
        return f"reranker:{_FORMAT}:{self.namespace()}:{kind}:{key.hex()}"
