"""Linear layers with their weights prepacked for the CPU's matmuls.

torch keeps a weight row by row, and its matmuls reorder it every time. oneDNN takes weights that
were reordered once, and fuses a GELU into the matmul. Packed layers keep no other copy of the
weight, so memory stays the same. A network must not run while its layers are packed or unpacked.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import cache
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import nn
from transformers.activations import GELUActivation

log = logging.getLogger(__name__)

_ACCURACY = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
_READ = ("wo",)  # T5 looks at this layer's weight in every run
_ROWS = 2048  # of the matmul that the layout is chosen for; any number works


@runtime_checkable
class HasExactParts(Protocol):
    """A network that names modules which packing and int8 must leave alone."""

    exact_parts: ClassVar[tuple[str, ...]]


class PrepackedLinear(nn.Module):
    """A linear layer on a CPU with an optional GELU; its state dict is the layer's own.

    Args:
        linear: the layer; its dtype must be one that `works`.
        gelu: the activation to apply as well.
    """

    packed: torch.Tensor
    of_layer: list[torch.Tensor] | None = None
    """All weights of the BERT layer that this part ends, once they were looked up."""

    def __init__(self, linear: nn.Linear, gelu: nn.Module | None = None) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.gelu = gelu
        self.bias = linear.bias
        weight = linear.weight.detach()
        layout = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        self.register_buffer("packed", layout, persistent=False)

    @property
    def weight(self) -> torch.Tensor:
        """Return the (out, in) weight row by row, reordered at every call."""
        return self.packed.to_dense()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return x W^T + b, through the GELU if there is one."""
        name, kind = ("none", "") if self.gelu is None else ("gelu", "none")
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.packed, self.bias, name, [], kind
        )
        return output

    def unpacked(self) -> nn.Linear:
        """Return the layer as it was, without the GELU."""
        with torch.device("meta"):
            linear = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        linear.weight = nn.Parameter(self.weight, requires_grad=False)
        linear.bias = self.bias
        return linear.eval()

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[f"{prefix}weight"] = self.weight
        super()._save_to_state_dict(destination, prefix, keep_vars)


def pack(network: nn.Module) -> None:
    """Pack all linear layers that can be packed; a GELU that directly follows one is fused."""
    found = _layers(network)
    while found:  # each layer is freed before the next is packed
        parent, name, layer = found.pop()
        gelu = getattr(parent, "intermediate_act_fn", None) if name == "dense" else None
        # Only in transformers' own modules is it certain that the GELU follows directly.
        if type(gelu) is GELUActivation and type(parent).__module__.startswith("transformers."):
            parent.intermediate_act_fn = nn.Identity()
            setattr(parent, name, PrepackedLinear(layer, gelu))
        else:
            setattr(parent, name, PrepackedLinear(layer))


def unpack(network: nn.Module) -> None:
    """Undo `pack`."""
    places = [
        (parent, name)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, PrepackedLinear)
    ]
    for parent, name in places:
        layer = getattr(parent, name)
        setattr(parent, name, layer.unpacked())
        if layer.gelu is not None:
            parent.intermediate_act_fn = layer.gelu


def is_packed(network: nn.Module | None) -> bool:
    """Whether any layer is."""
    return network is not None and any(isinstance(m, PrepackedLinear) for m in network.modules())


def can_pack(network: nn.Module | None) -> bool:
    """Whether `pack` finds a layer, or has packed one."""
    return network is not None and (is_packed(network) or bool(_layers(network)))


def exact_parts(network: nn.Module) -> tuple[str, ...]:
    """Return the names of a network's modules that must be computed in full precision."""
    return network.exact_parts if isinstance(network, HasExactParts) else ()


def _layers(network: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    """Return the layers that can be packed, each with the module it is in and its name there.

    A weight that two modules share would be held twice; `exact_parts` of the network stay.
    """
    exact = set(exact_parts(network))
    modules = {
        name: module
        for name, module in network.named_modules()
        if exact.isdisjoint(name.split("."))
    }
    uses = Counter(
        id(weight) for module in network.modules() for weight in module.parameters(recurse=False)
    )
    return [
        (parent, name, child)
        for parent in modules.values()
        for name, child in parent.named_children()
        if type(child) is nn.Linear
        and name not in {*exact, *_READ}
        and uses[id(child.weight)] == 1
        and child.weight.device.type == "cpu"
        and works(child.weight.dtype)
    ]


@cache
def works(dtype: torch.dtype) -> bool:
    """Whether this machine's torch has prepacked matmuls for a dtype, with correct results."""
    if dtype not in _ACCURACY:
        return False
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(64, 32).requires_grad_(False)
    for part in (linear.weight, linear.bias):
        part.normal_(generator=generator)
    linear.to(dtype)
    rows = torch.randn(3, 5, 64, generator=generator).to(dtype)
    try:
        with torch.inference_mode():
            output, plain = PrepackedLinear(linear, GELUActivation())(rows), linear(rows)
            off = (output - nn.functional.gelu(plain)).abs() / (1 + plain.abs())
            return float(off.max()) < _ACCURACY[dtype]
    except Exception as error:  # whatever a build without oneDNN may raise
        log.info("weights stay as they are: %s", error)
        return False
