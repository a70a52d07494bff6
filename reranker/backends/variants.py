"""The ways in which one network can be run: kernels and layouts of torch, or an exported copy.

Whoever calls the network sees no difference: a way changes the kernel in its configuration or
the layout of its weights, or puts an exported copy in the place of its `forward`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from reranker.backends.cpu_bert import prepacked_linear as packing

log = logging.getLogger(__name__)

KERNELS = ("sdpa", "eager")
"""torch's fused kernel, and the plain products; which is faster depends on the machine."""


class ExecutionVariants:
    """How a network can be run, and how it is run at present.

    Args:
        name: of the model, for the log.
        network: of transformers, or any other module; None where there is no choice.
        attention: the kernel to use, one of `KERNELS`, or "auto".
        weights: "packed" or "plain", or "auto"; see `reranker.backends.cpu_bert.prepacked_linear`.
    """

    def __init__(
        self, name: str, network: Any, attention: str = "auto", weights: str = "auto"
    ) -> None:
        self._name = name
        self.network = network
        self._fixed = attention != "auto"
        self._weights = weights
        self._exported: Mapping[str, Callable[..., Any]] = {}
        self._torch = True
        if self._fixed:
            self._use_kernel(attention)

    @property
    def attention(self) -> str | None:
        """Return torch's kernel; None where the network has one of its own that stays."""
        if self._current is not None:
            return None
        switchable = getattr(self.network, "_can_set_attn_implementation", None)
        if switchable is None or not switchable():
            return None
        kernel = getattr(self.network.config, "_attn_implementation", None)
        return kernel if kernel in KERNELS else None

    @property
    def packed(self) -> bool:
        """Whether torch runs the network, with weights laid out for the CPU's products."""
        return self._current is None and packing.is_packed(self.network)

    @property
    def backend(self) -> str:
        """Return "torch", or the name of the exported copy that runs."""
        return self._current or "torch"

    @property
    def exported(self) -> tuple[str, ...]:
        """Return the names of the exported copies that may be run."""
        return tuple(self._exported)

    @property
    def keeps_state(self) -> bool:
        """Whether a run changes the network, so that two must not run at a time.

        Rotary positions that stretch with the text are computed anew for every batch and kept.
        """
        modules = self.network.modules() if hasattr(self.network, "modules") else ()
        kinds = (getattr(module, "rope_type", None) for module in modules)
        found = {
            each for kind in kinds for each in (kind.values() if isinstance(kind, dict) else [kind])
        }
        return bool(found & {"dynamic", "longrope"})

    def offer(self, exported: Mapping[str, Callable[..., Any]], *, only: bool = False) -> None:
        """Add exported copies of the network, called as its `forward` is.

        Args:
            exported: by name.
            only: whether the network is not to be run by torch any more.
        """
        present = self._current
        self._exported = dict(exported)
        self._torch = not only
        first = next(iter(exported), None) if only else None
        self._use(self._exported.get(present or first or ""))

    @property
    def packable(self) -> bool:
        """Whether the weights can be laid out for the CPU's products, and that is not ruled out."""
        return self._torch and self._weights != "plain" and packing.can_pack(self.network)

    def pack(self) -> None:
        """Lay the weights out for the CPU's products, where that can be and is not ruled out."""
        if self.packable:
            packing.pack(self.network)
        elif self._weights == "packed":
            log.warning("model %s keeps its weights plain: they cannot be packed", self._name)

    def rule_out_packing(self) -> None:
        """Keep the weights as torch does from now on."""
        packing.unpack(self.network)
        self._weights = "plain"

    @contextlib.contextmanager
    def plain_weights(self, alone: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        """Keep the weights as torch does meanwhile, which is how exporters know them.

        Args:
            alone: within it nothing runs the network; it is taken for the two changes only.
        """
        packed = packing.is_packed(self.network)
        if packed:
            with alone():
                packing.unpack(self.network)
        try:
            yield
        finally:
            if packed:
                with alone():
                    packing.pack(self.network)

    def all(self) -> dict[str, Callable[[], None]]:
        """Return the ways by name, the present one first; calling one switches to it."""
        ways: dict[str, Callable[[], None]] = {}
        if self._torch:
            present = self.backend
            self._use(None)
            ways = {_told(*each): partial(self._use_torch, *each) for each in self._of_torch()}
            self._use(self._exported.get(present))
        ways |= {name: partial(self._use, forward) for name, forward in self._exported.items()}
        first = self._current or _told(self.attention, self.packed)
        return {first: ways.pop(first), **ways}

    def _of_torch(self) -> list[tuple[str | None, bool]]:
        """Return kernels, and whether the weights are packed; the present ones first."""
        kernel, packed = self.attention, self.packed
        kernels = [kernel, *([] if self._fixed or not kernel else KERNELS)]
        ways = [(kernel, packed), *((each, packed) for each in kernels)]
        if self._weights == "auto" and packing.can_pack(self.network):
            ways.append((kernel, not packed))
        return list(dict.fromkeys(ways))

    @property
    def _current(self) -> str | None:
        forward = getattr(self.network, "__dict__", {}).get("forward")
        return next((name for name, each in self._exported.items() if each is forward), None)

    def _use(self, forward: Callable[..., Any] | None) -> None:
        if self.network is not None:
            self.network.__dict__.pop("forward", None)
            if forward is not None:
                self.network.__dict__["forward"] = forward

    def _use_torch(self, kernel: str | None, packed: bool) -> None:
        self._use(None)
        if packed != self.packed:
            (packing.pack if packed else packing.unpack)(self.network)
        if kernel is not None:
            self._use_kernel(kernel)

    def _use_kernel(self, kernel: str) -> None:
        """Change the kernel; a network that cannot keeps its own, with a warning."""
        if self.attention == kernel:
            return
        try:
            if self.attention is not None:
                self.network.set_attn_implementation(kernel)
        except (ValueError, ImportError) as error:  # this family has no such kernel
            log.debug("model %s: %s", self._name, error)
        if self.attention != kernel:
            log.warning("model %s keeps its own attention, %s is not for it", self._name, kernel)


def _told(kernel: str | None, packed: bool) -> str:
    return f"{kernel or 'torch'}{', packed weights' if packed else ''}"


def is_int8(way: str) -> bool:
    """Whether a way computes in int8, by its name."""
    return way.endswith("int8")
