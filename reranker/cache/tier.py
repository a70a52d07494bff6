"""Results that several processes share: the second tier behind a `Cache`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from torch import nn

_FORMAT = 1  # raise it when what is computed or written down for a key changes

Value = TypeVar("Value")


class Store(Protocol):
    """Bytes by key, somewhere; it never raises, but may have forgotten everything."""

    def find(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is kept under each key, or None."""

    def keep(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep what is given under each key, if that can be."""

    def close(self) -> None:
        """Let go of what is held."""


class SharedTier(Generic[Value]):
    """The results of one model in a store that other processes use too.

    Args:
        store: where.
        namespace: returns what stands for all that a result depends on and that no key says.
        write: returns what to write down of a value, by shelf.
        read: makes a value of what was written down; None if it is something else.
    """

    def __init__(
        self,
        store: Store,
        namespace: Callable[[], str],
        write: Callable[[Value], dict[str, bytes]],
        read: Callable[[bytes], Value | None],
    ) -> None:
        self._store = store
        self.namespace = namespace
        self._write = write
        self._read = read
        self._hits = self._misses = 0
        self._lock = threading.Lock()

    @property
    def counts(self) -> tuple[int, int]:
        """Return how many look-ups found something and how many did not."""
        with self._lock:
            return self._hits, self._misses

    def find(self, keys: Sequence[bytes], shelf: str) -> list[Value | None]:
        """Return the value of each key on a shelf, or None."""
        found = [
            None if data is None else self._read(data)
            for data in self._store.find([self._name(key, shelf) for key in keys])
        ]
        hits = sum(value is not None for value in found)
        with self._lock:
            self._hits += hits
            self._misses += len(found) - hits
        return found

    def keep(self, keys: Sequence[bytes], values: Sequence[Value]) -> None:
        """Write values down, each on all shelves it has something for."""
        self._store.keep(
            (self._name(key, shelf), data)
            for key, value in zip(keys, values, strict=True)
            for shelf, data in self._write(value).items()
        )

    def _name(self, key: bytes, shelf: str) -> str:
        return f"reranker:{_FORMAT}:{self.namespace()}:{shelf}:{key.hex()}"


def fingerprint(networks: Iterable[nn.Module], *parts: object) -> str:
    """Return a digest of networks as they are in memory, number format included, and of parts.

    The digest of a weights file is not enough to share results under: folders with the same
    weights may pool otherwise or tokenise otherwise, and another number format rounds otherwise.
    """
    import torch

    digest = hashlib.blake2b(digest_size=12)
    for network in networks:
        for name, tensor in network.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            plain = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(plain.numpy().data)
        digest.update(f"{network}\n".encode())
    digest.update("\n".join(map(str, parts)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
