"""torch as a backend: the attention kernel, and on a CPU the layout of the weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch

from reranker.backends.cpu_bert import prepacked_linear
from reranker.backends.cpu_bert.attention import KERNELS

log = logging.getLogger(__name__)


class TorchBackend:
    """Runs a network of transformers, or any other module with its outputs, by torch.

    Args:
        model: its name, for the log.
        network: returns `logits` or `last_hidden_state`.
        attn_implementation: the kernel to use, one of `KERNELS`, or "auto".
        cpu_weight_layout: "packed" or "plain", or "auto"; see `prepacked_linear`.
    """

    name = "torch"

    def __init__(
        self,
        model: str,
        network: torch.nn.Module,
        attn_implementation: str = "auto",
        cpu_weight_layout: str = "auto",
    ) -> None:
        self._model = model
        self.network: Any = network
        self.kernel_is_fixed = attn_implementation != "auto"
        self._layout = cpu_weight_layout
        if self.kernel_is_fixed:
            self.use_kernel(attn_implementation)

    def __call__(self, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return (n, labels) logits where the network has a head, else (n, length, width) states.

        Args:
            features: (n, length) inputs by name, on any device.
        """
        device = self.network.device
        output = self.network(**{name: part.to(device) for name, part in features.items()})
        result: torch.Tensor = output["logits" if "logits" in output else "last_hidden_state"]
        return result

    @property
    def attention(self) -> str | None:
        """The kernel; None where the network has one of its own that stays."""
        switchable = getattr(self.network, "_can_set_attn_implementation", None)
        if switchable is None or not switchable():
            return None
        kernel = getattr(self.network.config, "_attn_implementation", None)
        return kernel if kernel in KERNELS else None

    @property
    def packed(self) -> bool:
        """Whether weights are laid out for the CPU's matmuls."""
        return prepacked_linear.is_packed(self.network)

    @property
    def layouts(self) -> tuple[bool, ...]:
        """The layouts to choose among, the present one first: whether weights are packed."""
        free = self._layout == "auto" and prepacked_linear.can_pack(self.network)
        return (self.packed, not self.packed) if free else (self.packed,)

    @property
    def packable(self) -> bool:
        """Whether the weights can be packed, and that is not ruled out."""
        return self._layout != "plain" and prepacked_linear.can_pack(self.network)

    @property
    def keeps_state(self) -> bool:
        """Whether a run changes the network, so that two must not run at a time.

        Rotary positions that stretch with the text are computed for every batch and kept.
        """
        kinds = (getattr(module, "rope_type", None) for module in self.network.modules())
        found = {
            each for kind in kinds for each in (kind.values() if isinstance(kind, dict) else [kind])
        }
        return bool(found & {"dynamic", "longrope"})

    def pack(self) -> None:
        """Lay the weights out for the CPU's matmuls, where that is possible and not ruled out."""
        if self.packable:
            prepacked_linear.pack(self.network)
        elif self._layout == "packed":
            log.warning("model %s keeps its weights plain: they cannot be packed", self._model)

    def unpack(self) -> None:
        """Lay the weights out as torch does."""
        prepacked_linear.unpack(self.network)

    def rule_out_packing(self) -> None:
        """Keep the weights as torch does from now on."""
        self.unpack()
        self._layout = "plain"

    def use_kernel(self, kernel: str) -> None:
        """Change the kernel; a network that cannot keeps its own, with a warning."""
        if self.attention == kernel:
            return
        try:
            if self.attention is not None:
                self.network.set_attn_implementation(kernel)
        except (ValueError, ImportError) as error:  # this architecture has no such kernel
            log.debug("model %s: %s", self._model, error)
        if self.attention != kernel:
            log.warning("model %s keeps its own attention, %s is not for it", self._model, kernel)
