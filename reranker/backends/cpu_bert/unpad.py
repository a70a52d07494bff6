"""transformers' BERT encoders without padding and without states that nothing reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from reranker.backends.cpu_bert.attention import KERNELS
from reranker.backends.cpu_bert.layers import run_layers
from reranker.backends.cpu_bert.layout import Layout

_FAMILIES = ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra")
_ENCODERS = frozenset(f"{family}Model" for family in _FAMILIES)
_CLASSIFIERS = frozenset(f"{family}ForSequenceClassification" for family in _FAMILIES)
"""Networks of transformers that read the first token's state and no other."""


class UnpaddedEncoder(nn.Module):
    """An encoder's layers without padding and, in the last one, without tokens that nothing reads.

    Names of modules and weights are the encoder's own, and so are the states of real tokens. There
    is no dropout, and only the kernels of `KERNELS`.

    Args:
        encoder: of one of transformers' BERT families, not causal.
        first_only: whether only the first token's state is read afterwards, and texts are padded
            on the right.
    """

    layer: nn.ModuleList

    def __init__(self, encoder: Any, *, first_only: bool) -> None:
        super().__init__()
        self.config = encoder.config
        self.layer = encoder.layer
        self.first_only = first_only
        self._whole = (encoder,)  # in a tuple, or its layers would be listed twice

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **more: Any,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """Return the states after the last layer, (n, 1 or length, width).

        Args:
            hidden_states: (n, length, width) embeddings.
            attention_mask: (n, 1, length, length), True or 0 where a token is attended to; it is
                the same for all tokens of a text. None masks nothing.
            more: a caller that asks for the states of all layers, or for attentions, gets them
                from the original encoder.
        """
        if more.get("output_hidden_states") or more.get("output_attentions"):
            output: BaseModelOutputWithPastAndCrossAttentions = self._whole[0](
                hidden_states, attention_mask, **more
            )
            return output
        count, length = hidden_states.shape[:2]
        real = None if attention_mask is None else attention_mask[:, 0, 0]
        if real is not None and real.dtype != torch.bool:
            real = real == 0
        by_text = hidden_states.device.type == "cpu"
        layout = Layout.of(count, length, real, by_text=by_text)
        rows = layout.rows(hidden_states.flatten(0, 1))
        rows = run_layers(self.layer, rows, layout, first_only=self.first_only)
        states = (rows if self.first_only else layout.padded(rows)).view(count, -1, rows.shape[1])
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=states)


def remove_padding(network: Any) -> None:
    """Let a network of transformers compute only what is read, where that is known to be the same.

    Networks whose masks mean more than padding, causal ones and those with a kernel of their own,
    and networks that return more than their last states stay as they are.
    """
    base: Any = getattr(network, "base_model", None)
    if _is_one_of(_ENCODERS, base) and _is_plain(base.config):
        first_only = _is_one_of(_CLASSIFIERS, network)
        base.encoder = UnpaddedEncoder(base.encoder, first_only=first_only)


def _is_one_of(names: frozenset[str], network: Any) -> bool:
    kind = type(network)
    return kind.__module__.startswith("transformers.") and kind.__name__ in names


def _is_plain(config: Any) -> bool:
    causal = config.is_decoder or getattr(config, "is_causal", False)
    returns_more = config.output_hidden_states or config.output_attentions
    return not (causal or returns_more) and config._attn_implementation in KERNELS
