"""A cross-encoder that grows out of a bi-encoder: texts are read apart, then together.

The lower layers read query and document apart, exactly as the bi-encoder does, and stay as
they are; the upper layers read both together (MacAvaney et al., "Efficient Document
Re-Ranking for Transformers by Precomputing Term Representations", SIGIR 2020), and each of
their heads has a gate that says how much a token heeds the other text. The head compares the
two texts' states as a bi-encoder would, by pooled cosine and soft late interaction, and adds
what a small network makes of both. So training starts from a ranking instead of from chance:
it has to learn only what reading together adds, which a few minutes on a CPU can teach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from tokenizers.processors import TemplateProcessing
from torch import nn
from torch.nn import functional
from transformers import BertConfig, BertModel, PreTrainedTokenizerBase

from reranker.backends.cpu_bert.layer import run_layers
from reranker.backends.cpu_bert.layout import Layout

TAU = 0.05  # a cosine: temperature of the soft late interaction
COSINE = (0.38, 0.21)
ATTENTION = (0.39, 0.19)
"""Mean and deviation of the bi-encoder's two scores over training pairs."""


@dataclass(frozen=True, slots=True)
class Logits:
    """What the network returns; named as transformers names it."""

    logits: torch.Tensor


class Interaction(nn.Module):
    """The head: a learnt sum of pooled cosine, soft late interaction and a small network.

    Args:
        width: of the token states.
        hidden: of the small network over both pooled vectors.
    """

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.tensor([1.25, 1.25]))
        self.weigh = nn.Linear(width, 1)
        self.inner = nn.Linear(2 * width, hidden)
        self.outer = nn.Linear(hidden, 1)
        for part in (self.weigh, self.outer):
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)

    def forward(
        self,
        states: torch.Tensor,
        query: torch.Tensor,
        document: torch.Tensor,
        queries_end: int | None = None,
    ) -> torch.Tensor:
        """Return the logits (n,) of token states (n, length, width), given where each text is.

        Args:
            states: float32.
            query: (n, length) True at the query's tokens, special ones included.
            document: the same for the document.
            queries_end: where the last query ends, if that is known.
        """
        pooled_query, pooled_document = (_mean(states, part) for part in (query, document))
        # Written out, since OpenVINO cannot convert torch's own cosine.
        pooled = (pooled_query, pooled_document)
        unit_query, unit_document = (functional.normalize(each, dim=-1) for each in pooled)
        cosine = (unit_query * unit_document).sum(-1)
        unit = functional.normalize(states, dim=-1)
        similarity = unit[:, :queries_end] @ unit.transpose(1, 2)
        share = (similarity / TAU).masked_fill(~document[:, None, :], -torch.inf).softmax(-1)
        matched = (share * similarity).sum(-1)
        heed = functional.softplus(_linear(self.weigh, states[:, :queries_end])[..., 0])
        weight = heed * query[:, :queries_end]
        attention = (weight * matched).sum(-1) / weight.sum(-1)
        both = (pooled_query * pooled_document, (pooled_query - pooled_document).abs())
        learnt = _linear(self.outer, functional.gelu(_linear(self.inner, torch.cat(both, -1))))
        parts = torch.stack(
            [(cosine - COSINE[0]) / COSINE[1], (attention - ATTENTION[0]) / ATTENTION[1]], -1
        )
        return parts @ self.scales.float() + learnt[:, 0]


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
        # A gate is added to the logarithm of the attention to the other text; 0 is neutral.
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
    ) -> Logits:
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
            layout = layout._replace(halves=query.sum(1).tolist())
        rows = self.read_apart(input_ids, token_type_ids, real, layout)
        rows = self.read_together(rows, token_type_ids, real, layout)
        states = layout.padded(rows).view(count, length, -1)
        with torch.autocast(states.device.type, enabled=False):
            end = None if layout.halves is None else max(layout.halves)
            logits = self.interaction(states.float(), query, document, end)
        return Logits(logits[:, None])

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
        if layout.lengths is not None and layout.halves is not None:
            pairs = zip(layout.halves, layout.lengths, strict=True)
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
            return run_layers(layers, rows, layout, gates=gates)
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


def _mean(states: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    share = chosen / chosen.sum(1, keepdim=True)
    return (share[:, None, :].to(states.dtype) @ states)[:, 0]


def _linear(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """Apply a layer in float32, whatever the number format of the network around it."""
    return functional.linear(x, layer.weight.float(), layer.bias.float())
