"""BERT layers over the real tokens of a batch: what stands at its padding is never computed.

Linear layers and norms work token by token, so they take the real tokens as one long row of rows;
only attention needs to know whose is whose. Short texts of unlike lengths gain most.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from reranker.backends.cpu_bert.attention import attention, first
from reranker.backends.cpu_bert.layout import Layout
from reranker.backends.cpu_bert.packed import compiled, packed_weights


def run_layers(
    layers: Iterable[nn.Module],
    rows: torch.Tensor,
    layout: Layout,
    mask: torch.Tensor | None = None,
    *,
    first_only: bool = False,
    cross_text_bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return what BERT layers, one after the other, make of (t, width) rows, without dropout.

    Args:
        layers: of transformers' BERT, or of a network made like it, all of the same shape.
        rows: states of the computed tokens before the first layer.
        layout: where they stand.
        mask: (texts or 1, heads or 1, length or 1, length) over the padded batch, True where a
            token is attended to, or added to the logarithm of the attention. None lets tokens heed
            all real ones of their text.
        first_only: whether the states of the texts' first tokens alone are wanted, (texts, width):
            in the last layer only keys and values are made of all, a sixth of the products. The
            mask must be the same for all tokens of a text then.
        cross_text_bias: (layers, heads), added to the logits of the attention between query and
            document of each pair; only where the layout has both `lengths` and `query_lengths`.
    """
    blocks: list[Any] = list(layers)
    own = blocks[0].attention.self
    how = (layout, mask, own.num_attention_heads, own.config._attn_implementation != "eager")
    weights = [packed_weights(block) for block in blocks]
    if None not in weights and (run := compiled()) is not None:
        return run(rows, weights, blocks[0].output.LayerNorm.eps, *how, first_only, cross_text_bias)
    for number, block in enumerate(blocks):
        last = first_only and block is blocks[-1]
        bias = None if cross_text_bias is None else cross_text_bias[number]
        own, out = block.attention.self, block.attention.output
        wanted = first(rows, layout) if last else rows
        mixed = attention(own.query(wanted), own.key(rows), own.value(rows), *how, last, bias)
        attended = out.LayerNorm(out.dense(mixed) + wanted)
        inner = block.output.dense(block.intermediate(attended))
        rows = block.output.LayerNorm(inner + attended)
    return rows
