"""A BERT forward pass that computes of the last layer only what the classifier reads.

The classifier sees the first position alone, so the last layer needs one query vector and one
feed-forward row per pair. On this geometry that saves about a seventh of a training step. The
result equals the library's own forward pass, which a test holds it to.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import BertForSequenceClassification, BertModel


def _attend(
    layer: nn.Module, rows: torch.Tensor, states: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    block: Any = layer.attention
    own, out = block.self, block.output
    batch, _, width = states.shape
    heads = own.num_attention_heads

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.view(batch, -1, heads, width // heads).transpose(1, 2)

    mixed = functional.scaled_dot_product_attention(
        split(own.query(rows)), split(own.key(states)), split(own.value(states)), attn_mask=mask
    )
    mixed = mixed.transpose(1, 2).reshape(batch, -1, width)
    attended: torch.Tensor = out.LayerNorm(out.dense(mixed) + rows)
    return attended


def _layer(
    layer: nn.Module, rows: torch.Tensor, states: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    attended = _attend(layer, rows, states, mask)
    block: Any = layer
    inner = functional.gelu(block.intermediate.dense(attended))
    states_out: torch.Tensor = block.output.LayerNorm(block.output.dense(inner) + attended)
    return states_out


def encode(
    bert: BertModel, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor, layers: int
) -> torch.Tensor:
    """Return the hidden states (batch, length, width) after the first ``layers`` layers.

    Args:
        bert: A ``BertModel`` without dropout.
        ids: Token ids (batch, length).
        types: Segment ids (batch, length).
        mask: True at real tokens (batch, length).
        layers: How many layers to run.
    """
    states: torch.Tensor = bert.embeddings(input_ids=ids, token_type_ids=types)
    for layer in bert.encoder.layer[:layers]:
        states = _layer(layer, states, states, mask[:, None, None, :])
    return states


def pair_logits(
    model: BertForSequenceClassification, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits (batch,) and the states (batch, length, width) before the last layer."""
    bert: Any = model.bert
    states = encode(bert, ids, types, mask, len(bert.encoder.layer) - 1)
    first = _layer(bert.encoder.layer[-1], states[:, :1], states, mask[:, None, None, :])
    pooled = torch.tanh(bert.pooler.dense(first[:, 0]))
    return model.classifier(pooled)[:, 0], states
