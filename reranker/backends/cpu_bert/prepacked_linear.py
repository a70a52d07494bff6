"""Linear layers with their weights laid out for the CPU's products.

torch keeps a weight row by row, and its products rearrange it every time. oneDNN takes weights
that were rearranged once, and applies a GELU while a product is still at hand. Layers that were
packed keep no other copy of the weight, so memory stays what it was. A network must not run while
its layers are packed or unpacked.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import cache
from typing import Any

import torch
from torch import nn
from transformers.activations import GELUActivation

log = logging.getLogger(__name__)

_ACCURACY = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
_READ = ("wo",)  # T5 looks at this layer's weight in every run
_ROWS = 2048  # of a product that the layout is chosen for; others work, too


class PrepackedLinear(nn.Module):
    """A linear layer on a CPU, and a GELU after it if wanted; its state dict is the layer's own.

    Args:
        linear: the layer; its number format must be one that `works`.
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
        """Return the (out, in) weight row by row, made anew."""
        return self.packed.to_dense()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return x W^T + b, through the GELU if there is one."""
        name, kind = ("none", "") if self.gelu is None else ("gelu", "none")
        made: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.packed, self.bias, name, [], kind
        )
        return made

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
    """Pack the linear layers that can be; a GELU that follows one directly is taken in."""
    found = _layers(network)
    while found:  # each is let go of before the next is packed
        parent, name, layer = found.pop()
        gelu = getattr(parent, "intermediate_act_fn", None) if name == "dense" else None
        # In transformers' own module of these names the one is called right after the other.
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
    """Whether `pack` would find a layer, or has."""
    return network is not None and (is_packed(network) or bool(_layers(network)))


def _layers(network: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    """Return the layers that can be packed, each with the module it is in and its name there.

    A weight that two modules share would be held twice; a network may ask for `exact_parts` to
    be left alone.
    """
    exact = set(getattr(network, "exact_parts", ()))
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
    """Whether this machine's torch has such products for a number format, and they are right."""
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
            made, wanted = PrepackedLinear(linear, GELUActivation())(rows), linear(rows)
            off = (made - nn.functional.gelu(wanted)).abs() / (1 + wanted.abs())
            return float(off.max()) < _ACCURACY[dtype]
    except Exception as error:  # whatever a build without oneDNN may raise
        log.info("weights stay as they are: %s", error)
        return False
