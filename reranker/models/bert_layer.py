"""BERT layers over the real tokens of a batch: what stands at its padding is never computed.

Linear layers and norms work token by token, so they take the real tokens as one long row of rows;
only attention needs to know whose is whose, and sees the batch padded. Short texts of unlike
lengths gain most.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from reranker.models.bert_attention import attention, first, padded
from reranker.models.bert_packed import compiled, packed_weights


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the computed tokens stand in a batch of (count, length) tokens.

    Attributes:
        count: of the texts.
        length: of the longest.
        real: (t,) positions of the computed tokens in the flattened batch; None is all of them.
    """

    count: int
    length: int
    real: torch.Tensor | None = None

    @classmethod
    def of(cls, count: int, length: int, real: torch.Tensor | None) -> Layout:
        """Return the layout that leaves padding out, where that can be told at once.

        On other devices than a CPU that would wait for the device; and what an exporter follows
        keeps to shapes that do not depend on the mask.

        Args:
            count: of the texts.
            length: of the longest.
            real: (count, length) True at real tokens; None where all are.
        """
        traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if real is None or real.device.type != "cpu" or traced or bool(real.all()):
            return cls(count, length)
        return cls(count, length, real.flatten().nonzero()[:, 0])

    def rows(self, padded: torch.Tensor) -> torch.Tensor:
        """Return the (t, ...) computed tokens of a flattened batch (count * length, ...)."""
        return padded if self.real is None else padded.index_select(0, self.real)

    def padded(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the flattened batch (count * length, width) of (t, width) rows, padded with 0."""
        return padded(rows, self.real, self.count * self.length)


def run_layers(
    layers: Iterable[nn.Module],
    rows: torch.Tensor,
    layout: Layout,
    mask: torch.Tensor | None,
    *,
    first_only: bool = False,
) -> torch.Tensor:
    """Return what BERT layers, one after the other, make of (t, width) rows, without dropout.

    Args:
        layers: of transformers' BERT, or of a network made like it, all of the same shape.
        rows: states of the computed tokens before the first layer.
        layout: where they stand.
        mask: (count or 1, heads or 1, length or 1, length) over the padded batch, True where a
            token is attended to, or added to the logarithm of the attention.
        first_only: whether the states of the texts' first tokens alone are wanted, (count, width):
            in the last layer only keys and values are made of all, a sixth of the products. The
            mask must be the same for all tokens of a text then.
    """
    blocks: list[Any] = list(layers)
    own = blocks[0].attention.self
    place = (layout.count, layout.length, layout.real, mask)
    how = (own.num_attention_heads, own.config._attn_implementation != "eager")
    weights = [packed_weights(block) for block in blocks]
    if None not in weights and (run := compiled()) is not None:
        return run(rows, weights, blocks[0].output.LayerNorm.eps, *place, *how, first_only)
    for block in blocks:
        last = first_only and block is blocks[-1]
        own, out = block.attention.self, block.attention.output
        wanted = first(rows, layout.real, layout.count, layout.length) if last else rows
        mixed = attention(own.query(wanted), own.key(rows), own.value(rows), *place, *how, last)
        attended = out.LayerNorm(out.dense(mixed) + wanted)
        inner = block.output.dense(block.intermediate(attended))
        rows = block.output.LayerNorm(inner + attended)
    return rows
