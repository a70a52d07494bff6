"""A BERT layer over the real tokens of a batch: what stands at its padding is never computed.

Linear layers and norms work token by token, so they take the real tokens as one long row of rows;
only attention needs to know whose is whose, and sees the batch padded. Short texts of unlike
lengths gain most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional


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
        if self.real is None:
            return rows
        blank = rows.new_zeros(self.count * self.length, rows.shape[1])
        return blank.index_copy_(0, self.real, rows)

    def first(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the (count, width) rows of every text's first token."""
        if self.real is None:
            return rows.view(self.count, self.length, -1)[:, 0]
        return rows[self.real % self.length == 0]


def run_layer(
    layer: nn.Module,
    rows: torch.Tensor,
    layout: Layout,
    mask: torch.Tensor | None,
    *,
    first_only: bool = False,
) -> torch.Tensor:
    """Return what a BERT layer makes of (t, width) rows, without dropout.

    Args:
        layer: of transformers' BERT, or of a network made like it.
        rows: states of the computed tokens before the layer.
        layout: where they stand.
        mask: (count or 1, heads or 1, length or 1, length) over the padded batch, True where a
            token is attended to, or added to the logarithm of the attention.
        first_only: whether the states of the texts' first tokens alone are wanted, (count, width):
            only keys and values are made of all, a sixth of the products. The mask must be the same
            for all tokens of a text then.
    """
    block: Any = layer
    own, out = block.attention.self, block.attention.output
    wanted = layout.first(rows) if first_only else rows
    asking = Layout(layout.count, 1) if first_only else layout

    def split(states: torch.Tensor) -> torch.Tensor:
        size = own.attention_head_size
        return states.view(layout.count, -1, own.num_attention_heads, size).transpose(1, 2)

    mixed = _attention(
        split(asking.padded(own.query(wanted))),
        split(layout.padded(own.key(rows))),
        split(layout.padded(own.value(rows))),
        mask,
        fused=own.config._attn_implementation != "eager",
    )
    mixed = asking.rows(mixed.transpose(1, 2).reshape(-1, wanted.shape[1]))
    attended = out.LayerNorm(out.dense(mixed) + wanted)
    inner = block.output.dense(block.intermediate(attended))
    made: torch.Tensor = block.output.LayerNorm(inner + attended)
    return made


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    *,
    fused: bool,
) -> torch.Tensor:
    """Return (n, heads, rows, width) mixed values, by torch's fused kernel or by plain products."""
    # The fused kernel has no gradient for its mask.
    if fused and not (mask is not None and mask.requires_grad):
        if mask is not None and mask.dtype != torch.bool:
            mask = mask.to(query.dtype)
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -torch.inf)
    elif mask is not None:
        scores = scores + mask
    mixed: torch.Tensor = scores.softmax(-1).to(value.dtype) @ value
    return mixed
