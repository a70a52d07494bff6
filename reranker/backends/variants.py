"""Execution variants of a model: torch's kernels and weight layouts, and exported copies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Protocol

from reranker.backends.cpu_bert.attention import KERNELS

if TYPE_CHECKING:
    import torch

    from reranker.backends.torch_backend import TorchBackend


class Backend(Protocol):
    """Runs a batch of a model."""

    @property
    def name(self) -> str:
        """Such as "torch" or "openvino int8"."""

    def __call__(self, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return (n, labels) logits where the network has a head, else (n, length, width) states.

        Args:
            features: (n, length) int64 inputs by name.
        """


class ExecutionVariants:
    """The execution variants of a model, and the one in use.

    Args:
        torch: the backend that every model with a network has; None for a model without one.
    """

    def __init__(self, torch: TorchBackend | None) -> None:
        self.torch = torch
        self._exported: Mapping[str, Backend] = {}
        self._current: Backend | None = torch
        self._torch_allowed = torch is not None

    def run(self, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Run a batch by the backend in use; see `Backend`."""
        assert self._current is not None, "the model has no network that a backend could run"
        return self._current(features)

    @property
    def backend(self) -> str:
        """The name of the backend in use."""
        return "torch" if self._current is None else self._current.name

    @property
    def attention(self) -> str | None:
        """Torch's attention kernel, None where another backend or the network's own is in use."""
        return self.torch.attention if self.torch is not None and self._runs_torch else None

    @property
    def packed(self) -> bool:
        """Whether torch is in use, with weights laid out for the CPU's matmuls."""
        return self.torch is not None and self._runs_torch and self.torch.packed

    @property
    def packable(self) -> bool:
        """Whether torch may be used and its weights may be packed."""
        return self._torch_allowed and self.torch is not None and self.torch.packable

    @property
    def exported(self) -> tuple[str, ...]:
        """The names of the exported copies that may be used."""
        return tuple(self._exported)

    @property
    def keeps_state(self) -> bool:
        """Whether a run changes the network, so that two must not run at a time."""
        return self.torch is not None and self.torch.keeps_state

    def offer(self, exported: Mapping[str, Backend], *, only: bool = False) -> None:
        """Add exported copies of the network.

        Args:
            exported: by name.
            only: whether torch is not to be used any more.
        """
        present = self.backend
        self._exported = dict(exported)
        self._torch_allowed = not only
        first = next(iter(exported), None) if only else None
        self._current = self._exported.get(present) or self._exported.get(first or "", self.torch)

    @contextlib.contextmanager
    def plain_weights(self, alone: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """Keep the weights as torch does meanwhile, which is how exporters know them.

        Args:
            alone: within it nothing runs the network; it is entered for the two changes only.
        """
        torch = self.torch
        if torch is None or not torch.packed:
            yield
            return
        with alone():
            torch.unpack()
        try:
            yield
        finally:
            with alone():
                torch.pack()

    def all(self) -> dict[str, Callable[[], None]]:
        """Return the variants by name, the one in use first; calling one switches to it."""
        variants: dict[str, Callable[[], None]] = {}
        if self._torch_allowed and self.torch is not None:
            for kernel, packed in _combinations(self.torch):
                variants[_variant_name(kernel, packed)] = partial(self._use_torch, kernel, packed)
        for name, backend in self._exported.items():
            variants[name] = partial(self._use, backend)
        first = self.backend
        if self._runs_torch and self.torch is not None:
            first = _variant_name(self.torch.attention, self.torch.packed)
        return {first: variants.pop(first), **variants} if first in variants else variants

    @property
    def _runs_torch(self) -> bool:
        return self._current is self.torch

    def _use(self, backend: Backend) -> None:
        self._current = backend

    def _use_torch(self, kernel: str | None, packed: bool) -> None:
        assert self.torch is not None
        self._current = self.torch
        if packed != self.torch.packed:
            (self.torch.pack if packed else self.torch.unpack)()
        if kernel is not None:
            self.torch.use_kernel(kernel)


def _combinations(torch: TorchBackend) -> list[tuple[str | None, bool]]:
    """Return kernels, and whether weights are packed; the present ones first."""
    kernel, packed = torch.attention, torch.packed
    kernels = () if torch.kernel_is_fixed or not kernel else KERNELS
    found = [(kernel, packed), *((each, packed) for each in kernels)]
    found += [(kernel, layout) for layout in torch.layouts[1:]]
    return list(dict.fromkeys(found))


def _variant_name(kernel: str | None, packed: bool) -> str:
    return f"{kernel or 'torch'}{', packed weights' if packed else ''}"
