"""Which kernel computes a network's attention, and how to change it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

log = logging.getLogger(__name__)

KERNELS = ("sdpa", "eager")
"""torch's fused kernel, and the plain products; which is faster depends on the machine."""


def kernel_of(network: Any) -> str | None:
    """Return the kernel's name; None where the network has one of its own that stays."""
    switchable = getattr(network, "_can_set_attn_implementation", None)
    if switchable is None or not switchable():
        return None
    kernel = getattr(network.config, "_attn_implementation", None)
    return kernel if kernel in KERNELS else None


def use_kernel(name: str, network: Any, kernel: str) -> None:
    """Have a network use a kernel; one that cannot change keeps its own, with a warning.

    Args:
        name: of the model, for the log.
        network: of transformers, or any other.
        kernel: one of `KERNELS`.
    """
    if kernel_of(network) == kernel:
        return
    try:
        if kernel_of(network) is not None:
            network.set_attn_implementation(kernel)
    except (ValueError, ImportError) as error:  # this family has no such kernel
        log.debug("model %s: %s", name, error)
    if kernel_of(network) != kernel:
        log.warning("model %s keeps its own attention, %s is not for it", name, kernel)


def ways_of(name: str, network: Any, *, fixed: bool) -> dict[str, Callable[[], None]]:
    """Return how the network can be run, the present way first; calling one switches to it."""
    present = kernel_of(network)
    if present is None or fixed:
        return {present or "torch": lambda: None}
    others = [kernel for kernel in KERNELS if kernel != present]
    return {kernel: partial(use_kernel, name, network, kernel) for kernel in (present, *others)}
