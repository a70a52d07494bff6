"""Attention of BERT over the computed tokens of a batch; in words that TorchScript knows, too."""

from __future__ import annotations

import torch
from torch.nn import functional

from reranker.models.bert_layout import Layout


def first(rows: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return the (texts, width) rows of every text's first token."""
    real = layout.real
    if real is None:
        return rows.view(layout.texts, layout.length, -1)[:, 0]
    return rows[real % layout.length == 0]


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    mask: torch.Tensor | None,
    heads: int,
    fused: bool,
    first_only: bool,
) -> torch.Tensor:
    """Return the mixed values of those who ask.

    Args:
        query: (t, width) of the computed tokens, or (texts, width) of every text's first.
        key: (t, width).
        value: (t, width).
        layout: where the computed tokens stand.
        mask: see `run_layers`.
        heads: of the attention.
        fused: whether to use torch's fused kernel, or plain products.
        first_only: whether only first tokens ask.

    Returns:
        As many rows as `query` has.
    """
    lengths = layout.lengths
    # torch's fused kernel makes nothing of bfloat16: it takes as long as in float32.
    plain = not fused or query.dtype == torch.bfloat16
    if lengths is not None and mask is None and plain and not query.requires_grad:
        return _by_text(query, key, value, lengths, heads, first_only)
    shape = [layout.texts, -1, heads, query.size(1) // heads]
    real, spread = layout.real, layout.spread
    if spread is not None:
        key, value = key.index_select(0, spread), value.index_select(0, spread)
        if not first_only:
            query = query.index_select(0, spread)
    query = query.view(shape).transpose(1, 2)
    key = key.view(shape).transpose(1, 2)
    value = value.view(shape).transpose(1, 2)
    if mask is None:
        mask = layout.keys
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
    return mixed if real is None or first_only else mixed.index_select(0, real)


def _by_text(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: list[int],
    heads: int,
    first_only: bool,
) -> torch.Tensor:
    """Return the mixed values, computed for one text after the other in the same memory."""
    longest, size = max(lengths), query.size(1) // heads
    asking = 1 if first_only else longest
    scores = query.new_empty([heads * asking * longest])
    shares = query.new_empty([heads * asking * longest])
    mixed = query.new_empty([heads * asking * size])
    made = torch.empty_like(query)
    query = query * size**-0.5
    start = 0
    for number, length in enumerate(lengths):
        first_row, rows = (number, 1) if first_only else (start, length)
        own_query = query.narrow(0, first_row, rows).view(rows, heads, size).transpose(0, 1)
        own_key = key.narrow(0, start, length).view(length, heads, size).permute(1, 2, 0)
        own_value = value.narrow(0, start, length).view(length, heads, size).transpose(0, 1)
        own_scores = scores.narrow(0, 0, heads * rows * length).view(heads, rows, length)
        own_shares = shares.narrow(0, 0, heads * rows * length).view(heads, rows, length)
        own_mixed = mixed.narrow(0, 0, heads * rows * size).view(heads, rows, size)
        torch.bmm(own_query, own_key, out=own_scores)
        torch.softmax(own_scores, -1, out=own_shares)
        torch.bmm(own_shares, own_value, out=own_mixed)
        own_made = made.narrow(0, first_row, rows).view(rows, heads, size)
        own_made.copy_(own_mixed.transpose(0, 1))
        start += length
    return made
