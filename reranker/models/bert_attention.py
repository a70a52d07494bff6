"""Attention of BERT, and where rows stand in a batch; in words that TorchScript knows, too."""

from __future__ import annotations

import torch
from torch.nn import functional


def padded(rows: torch.Tensor, real: torch.Tensor | None, size: int) -> torch.Tensor:
    """Return (t, width) rows at their positions in a flattened batch of that size, 0 elsewhere."""
    if real is None:
        return rows
    return rows.new_zeros([size, rows.size(1)]).index_copy_(0, real, rows)


def first(rows: torch.Tensor, real: torch.Tensor | None, count: int, length: int) -> torch.Tensor:
    """Return the (count, width) rows of every text's first token."""
    if real is None:
        return rows.view(count, length, -1)[:, 0]
    return rows[real % length == 0]


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    count: int,
    length: int,
    real: torch.Tensor | None,
    mask: torch.Tensor | None,
    heads: int,
    fused: bool,
    first_only: bool,
) -> torch.Tensor:
    """Return the mixed values of those who ask.

    Args:
        query: (t, width) of the computed tokens, or (count, width) of every text's first.
        key: (t, width).
        value: (t, width).
        count: of the texts.
        length: of the longest.
        real: (t,) positions of the computed tokens in the flattened batch; None is all of them.
        mask: see `run_layers`.
        heads: of the attention.
        fused: whether to use torch's fused kernel, or plain products.
        first_only: whether only first tokens ask.

    Returns:
        As many rows as `query` has.
    """
    asking, size = None if first_only else real, count * length
    shape = [count, -1, heads, query.size(1) // heads]
    query = padded(query, asking, size).view(shape).transpose(1, 2)
    key = padded(key, real, size).view(shape).transpose(1, 2)
    value = padded(value, real, size).view(shape).transpose(1, 2)
    # The fused kernel has no gradient for its mask.
    if fused and not (mask is not None and mask.requires_grad):
        if mask is not None and mask.dtype != torch.bool:
            mask = mask.to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    else:
        scores = query @ key.transpose(2, 3) * query.size(3) ** -0.5
        if mask is not None and mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, float("-inf"))
        elif mask is not None:
            scores = scores + mask
        mixed = scores.softmax(-1).to(value.dtype) @ value
    mixed = mixed.transpose(1, 2).flatten(2).flatten(0, 1)
    return mixed if asking is None else mixed.index_select(0, asking)
