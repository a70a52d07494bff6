"""A cross-encoder grown out of a bi-encoder: texts are encoded apart, then together.

The lower layers read query and document apart, exactly as the bi-encoder does, and stay frozen;
the upper layers read both together (PreTTR: MacAvaney et al., "Efficient Document Re-Ranking for
Transformers by Precomputing Term Representations", SIGIR 2020), and a trained bias of each head
is added to its attention between the two texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import SequenceClassifierOutput

from reranker.backends.cpu_bert.layers import run_layers
from reranker.backends.cpu_bert.layout import Layout
from reranker.families.split_cross_encoder.interaction import Interaction


class SplitBert(nn.Module):
    """The network; reads `[CLS] query [SEP] [CLS] document [SEP]`, segments 0 and 1.

    Args:
        config: of the bi-encoder's BERT, without dropout; its `layers_apart` says how many
            lower layers read the texts apart.
    """

    base_model_prefix: ClassVar[str] = "bert"
    exact_parts: ClassVar[tuple[str, ...]] = ("interaction",)
    """Modules that few digits would ruin: a similarity is divided by a small temperature."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.apart = int(config.layers_apart)
        self.bert = BertModel(config, add_pooling_layer=False)
        joint = config.num_hidden_layers - self.apart
        # Cross-text attention bias of each head, named as in the shipped weights; 0 is neutral.
        self.gates = nn.Parameter(torch.zeros(joint, config.num_attention_heads))
        self.segments = nn.Parameter(torch.zeros(2, config.hidden_size))
        self.interaction = Interaction(config.hidden_size)

    @classmethod
    def over(
        cls, config: BertConfig, base: Mapping[str, torch.Tensor], trained: Mapping[str, Any]
    ) -> SplitBert:
        """Return the network with trained weights laid over those of its bi-encoder.

        Args:
            config: of the network.
            base: the bi-encoder's weights, under BertModel's names.
            trained: all other weights, under this network's names; in any float format.

        Raises:
            ValueError: a weight is missing, or one of the trained has no place.
        """
        network = cls(config)
        under = {f"bert.{name}": part for name, part in base.items()}
        over = {name: part.float() for name, part in trained.items()}
        result = network.load_state_dict({**under, **over}, strict=False)
        if result.missing_keys:
            raise ValueError(f"no weights for {result.missing_keys[0]}")
        if strange := [name for name in result.unexpected_keys if name in over]:
            raise ValueError(f"no place for the weights {strange[0]}")
        return network.eval()

    def frozen(self, name: str) -> bool:
        """Tell whether a parameter is the bi-encoder's own: embeddings and lower layers."""
        layers = tuple(f"bert.encoder.layer.{i}." for i in range(self.apart))
        return name.startswith(("bert.embeddings.", *layers))

    @property
    def device(self) -> torch.device:
        """Return where the network is."""
        return self.gates.device

    def forward(
        self, input_ids: torch.Tensor, token_type_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> SequenceClassifierOutput:
        """Return the logits (n, 1), float32.

        Args:
            input_ids: (n, length) vocabulary ids.
            token_type_ids: (n, length) 0 at the query's tokens, 1 at the document's.
            attention_mask: (n, length) not 0 at real tokens.
        """
        real = attention_mask.bool()
        count, length = input_ids.shape
        query, document = real & (token_type_ids == 0), real & (token_type_ids == 1)
        layout = Layout.of(count, length, real, by_text=not torch.is_grad_enabled())
        if layout.lengths is not None:
            layout = layout._replace(query_lengths=query.sum(1).tolist())
        rows = self.read_apart(input_ids, token_type_ids, real, layout)
        rows = self.read_together(rows, token_type_ids, real, layout)
        states = layout.padded(rows).view(count, length, -1)
        with torch.autocast(states.device.type, enabled=False):
            end = None if layout.query_lengths is None else max(layout.query_lengths)
            logits = self.interaction(states.float(), query, document, end)
        return SequenceClassifierOutput(logits=logits[:, None])

    def read_apart(
        self, ids: torch.Tensor, types: torch.Tensor, real: torch.Tensor, layout: Layout
    ) -> torch.Tensor:
        """Return the states (t, width) of the computed tokens after the lower layers."""
        steps = torch.arange(ids.shape[1], device=ids.device)
        places = steps - types * (types == 0).logical_and(real).sum(1, keepdim=True)
        states: torch.Tensor = self.bert.embeddings(
            input_ids=ids, token_type_ids=torch.zeros_like(ids), position_ids=places
        )
        rows = layout.rows(states.flatten(0, 1))
        layers = self.bert.encoder.layer[: self.apart]
        if layout.lengths is not None and layout.query_lengths is not None:
            pairs = zip(layout.query_lengths, layout.lengths, strict=True)
            lengths = [each for half, whole in pairs for each in (half, whole - half)]
            return run_layers(layers, rows, Layout(len(lengths), max(lengths), lengths))
        return run_layers(layers, rows, layout, (_same(types) & real[:, None, :])[:, None])

    def read_together(
        self, rows: torch.Tensor, types: torch.Tensor, real: torch.Tensor, layout: Layout
    ) -> torch.Tensor:
        """Return the states (t, width) of the computed tokens after the upper layers."""
        rows = rows + self.segments.to(rows.dtype)[layout.rows(types.flatten())]
        layers, gates = self.bert.encoder.layer[self.apart :], self.gates.to(rows.dtype)
        if layout.lengths is not None:
            return run_layers(layers, rows, layout, cross_text_bias=gates)
        across = (~_same(types))[:, None].to(rows.dtype)
        padding = torch.zeros_like(real, dtype=rows.dtype).masked_fill(~real, -torch.inf)
        for layer, gate in zip(layers, gates, strict=True):
            mask = padding[:, None, None, :] + across * gate[:, None, None]
            rows = run_layers([layer], rows, layout, mask)
        return rows


def pair_frame(tokenizer: PreTrainedTokenizerBase) -> TemplateProcessing:
    """Return how a tokenizer must frame pairs for this network: each text as if it were alone."""
    start, end = tokenizer.cls_token, tokenizer.sep_token
    return TemplateProcessing(
        single=f"{start}:0 $A:0 {end}:0",
        pair=f"{start}:0 $A:0 {end}:0 {start}:1 $B:1 {end}:1",
        special_tokens=[(start, tokenizer.cls_token_id), (end, tokenizer.sep_token_id)],
    )


def _same(types: torch.Tensor) -> torch.Tensor:
    """Return (n, length, length) True where two tokens are of the same text of a pair."""
    return types[:, :, None] == types[:, None, :]
