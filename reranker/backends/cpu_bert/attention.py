"""Attention of BERT over the computed tokens of a batch, in code that TorchScript compiles."""

from __future__ import annotations

import torch
from torch.nn import functional

from reranker.backends.cpu_bert.layout import Layout

KERNELS = ("sdpa", "eager")
"""torch's fused attention kernel, and plain matmuls; which is faster depends on the machine."""


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
    cross_text_bias: torch.Tensor | None,
) -> torch.Tensor:
    """Return the attention output of the queries.

    Args:
        query: (t, width) of the computed tokens, or (texts, width) of every text's first.
        key: (t, width).
        value: (t, width).
        layout: where the computed tokens stand.
        mask: see `run_layers`.
        heads: of the attention.
        fused: whether to use torch's fused kernel, or plain matmuls.
        first_only: whether `query` holds first tokens alone.
        cross_text_bias: (heads,) of texts that are pairs; see `run_layers`.

    Returns:
        As many rows as `query` has.
    """
    lengths = layout.lengths
    if lengths is not None and mask is None and not query.requires_grad:
        # torch's fused kernel gains nothing in bfloat16, and takes the bias only as a mask of all
        # heads.
        fused = fused and cross_text_bias is None and query.dtype != torch.bfloat16
        return _by_text(
            query,
            key,
            value,
            lengths,
            layout.query_lengths,
            heads,
            fused,
            first_only,
            cross_text_bias,
        )
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
    query_lengths: list[int] | None,
    heads: int,
    fused: bool,
    first_only: bool,
    cross_text_bias: torch.Tensor | None,
) -> torch.Tensor:
    """Return the attention output, computed text by text.

    Plain matmuls share buffers. Each text is rounded up to a full step with the rows that follow,
    which are masked: full vectors are faster, and oneDNN meets fewer matmul shapes.
    """
    step, total, width = 1 if fused else 32, key.size(0), query.size(1) // heads
    longest = 0 if fused else (max(lengths) + step - 1) // step * step
    most = 1 if first_only else longest
    scores = query.new_empty([heads * most * longest])
    shares = query.new_empty([heads * most * longest])
    mixed = query.new_empty([heads * most * width])
    result = torch.empty_like(query)
    if not fused:
        query = query * width**-0.5
    start = 0
    for number, length in enumerate(lengths):
        size = (length + step - 1) // step * step
        if start + size > total:
            size = length
        rows, first_row, kept = size, start, length
        if first_only:
            rows, first_row, kept = 1, number, 1
        own_query = query.narrow(0, first_row, rows).view(rows, heads, width).transpose(0, 1)
        own_key = key.narrow(0, start, size).view(size, heads, width).transpose(0, 1)
        own_value = value.narrow(0, start, size).view(size, heads, width).transpose(0, 1)
        if fused:
            inputs = (own_query[None], own_key[None], own_value[None])
            own_mixed = functional.scaled_dot_product_attention(*inputs)[0]
        else:
            own_scores = scores.narrow(0, 0, heads * rows * size).view(heads, rows, size)
            own_shares = shares.narrow(0, 0, heads * rows * size).view(heads, rows, size)
            own_mixed = mixed.narrow(0, 0, heads * rows * width).view(heads, rows, width)
            torch.bmm(own_query, own_key.transpose(1, 2), out=own_scores)
            own_scores.narrow(2, length, size - length).fill_(float("-inf"))
            if cross_text_bias is not None and query_lengths is not None:
                half, bias = query_lengths[number], cross_text_bias[:, None, None]
                own_scores.narrow(1, 0, half).narrow(2, half, length - half).add_(bias)
                own_scores.narrow(1, half, length - half).narrow(2, 0, half).add_(bias)
            torch.softmax(own_scores, -1, out=own_shares)
            torch.bmm(own_shares, own_value, out=own_mixed)
        own_result = result.narrow(0, first_row, kept).view(kept, heads, width)
        own_result.copy_(own_mixed.narrow(1, 0, kept).transpose(0, 1))
        start += length
    return result
