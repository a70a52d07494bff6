"""A BERT layer run part by part, for networks that need something else than all of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from reranker.models.ways import KERNELS

_FIRST_TOKEN = frozenset(
    f"{family}ForSequenceClassification"
    for family in ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra")
)
"""Networks of transformers whose classifier reads the first token's state and no other."""


class FirstTokenLayer(nn.Module):
    """A network's last layer where only the first token's state is read afterwards.

    Keys and values are made of all tokens; five sixths of the layer's products, the query's and all
    that follow the attention, are made for the first token alone. The answer is the same.

    Args:
        layer: the layer.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *_: Any,
        **__: Any,
    ) -> torch.Tensor:
        """Return the first token's state (n, 1, width) of (n, length, width) states.

        Args:
            hidden_states: of all tokens.
            attention_mask: (n or 1, heads or 1, length or 1, length), for torch's fused kernel or
                to be added; None masks nothing.
        """
        mask = None if attention_mask is None else attention_mask[:, :, :1]
        return run_layer(self.layer, hidden_states, mask, first=1)


def narrow_last_layer(network: Any) -> None:
    """Let a classifier's last layer compute the first token only, where no other is read.

    Networks whose masks mean more than padding, causal ones and those with a kernel of their own,
    stay as they are.
    """
    kind = type(network)
    if not kind.__module__.startswith("transformers.") or kind.__name__ not in _FIRST_TOKEN:
        return
    config = network.config
    causal = config.is_decoder or getattr(config, "is_causal", False)
    if not causal and config._attn_implementation in KERNELS:
        layers = network.base_model.encoder.layer
        layers[-1] = FirstTokenLayer(layers[-1])


def run_layer(
    layer: nn.Module, states: torch.Tensor, mask: torch.Tensor | None, first: int | None = None
) -> torch.Tensor:
    """Return what a BERT layer makes of (n, length, width) states, without dropout.

    Args:
        layer: of transformers' BERT, or of a network made like it.
        states: before the layer.
        mask: (n or 1, heads or 1, rows or 1, length), True where a token is attended to, or added
            to the logarithm of the attention.
        first: of how many tokens the states are wanted; None is all.
    """
    block: Any = layer
    own, out = block.attention.self, block.attention.output
    count, _, width = states.shape
    heads = own.num_attention_heads
    wanted = states[:, :first]

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.view(count, -1, heads, width // heads).transpose(1, 2)

    query, key, value = split(own.query(wanted)), split(own.key(states)), split(own.value(states))
    if mask is not None and mask.requires_grad:  # the fused kernel has no gradient for its mask
        scores = query @ key.transpose(2, 3) * (width // heads) ** -0.5 + mask
        mixed = scores.softmax(-1).to(value.dtype) @ value
    else:
        if mask is not None and mask.dtype != torch.bool:
            mask = mask.to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    mixed = mixed.transpose(1, 2).reshape(count, -1, width)
    attended = out.LayerNorm(out.dense(mixed) + wanted)
    inner = block.output.dense(block.intermediate(attended))
    states_out: torch.Tensor = block.output.LayerNorm(inner + attended)
    return states_out
