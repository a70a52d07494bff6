"""A classifier's last layer for the first token alone: the same logits, for fewer products."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.models import cross_encoder, needs_onednn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForTokenClassification,
    BertModel,
)

from reranker.models import packing
from reranker.models.bert_layer import FirstTokenLayer, narrow_last_layer

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "num_labels": 1,
}
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "electra")


def classifier(family: str, **more: Any) -> Any:
    torch.manual_seed(3)
    config = AutoConfig.for_model(family, **(SIZES | more))
    network = AutoModelForSequenceClassification.from_config(config).eval()
    for part in network.parameters():
        if part.ndim > 1:  # as initialised, the tokens hardly heed each other
            part.data.mul_(8)
        else:
            part.data.add_(torch.randn_like(part), alpha=0.1)
    return network


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 60, (4, 20), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    for row, length in enumerate((20, 3, 11, 19)):
        ids[row, length:], mask[row, length:] = 1, 0
    return {"input_ids": ids, "attention_mask": mask}


@torch.inference_mode()
def logits(network: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    made: torch.Tensor = network(**inputs).logits
    return made


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_whole_layer(family: str, kernel: str) -> None:
    network = classifier(family)
    network.set_attn_implementation(kernel)
    narrow = copy.deepcopy(network)
    narrow_last_layer(narrow)
    assert isinstance(narrow.base_model.encoder.layer[-1], FirstTokenLayer)
    for inputs in (batch(), {"input_ids": batch()["input_ids"][:1]}):
        wanted = logits(network, inputs)
        torch.testing.assert_close(logits(narrow, inputs), wanted, atol=1e-5, rtol=1e-5)
    assert logits(network, batch()).std() > 1e-3


def test_only_the_first_token_goes_past_keys_and_values() -> None:
    narrow = classifier("bert")
    narrow_last_layer(narrow)
    rows: dict[str, int] = {}

    def count(name: str) -> Any:
        return lambda _, args: rows.update({name: args[0].shape[1]})

    for name, module in narrow.base_model.encoder.layer[-1].layer.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(count(name))
    logits(narrow, batch())
    assert rows == {
        "attention.self.query": 1,
        "attention.self.key": 20,
        "attention.self.value": 20,
        "attention.output.dense": 1,
        "intermediate.dense": 1,
        "output.dense": 1,
    }


@needs_onednn
def test_it_can_be_packed() -> None:
    narrow = classifier("xlm-roberta")
    narrow_last_layer(narrow)
    wanted = logits(narrow, batch())
    packing.pack(narrow)
    assert isinstance(narrow.base_model.encoder.layer[-1].layer.output.dense, packing.PackedLinear)
    torch.testing.assert_close(logits(narrow, batch()), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["distilbert", "modernbert"])
def test_other_families_are_left_alone(family: str) -> None:
    network = classifier(family, pad_token_id=1, global_attn_every_n_layers=1)
    before = str(network)
    narrow_last_layer(network)
    assert str(network) == before


@pytest.mark.parametrize("more", [{"is_decoder": True}, {"is_causal": True}])
@pytest.mark.parametrize("family", FAMILIES)
def test_causal_networks_are_left_alone(family: str, more: dict[str, bool]) -> None:
    network = classifier(family, **more)
    before = str(network)
    narrow_last_layer(network)
    assert str(network) == before


def test_a_kernel_of_the_networks_own_keeps_its_layers() -> None:
    network = classifier("bert")
    network.set_attn_implementation("flex_attention")
    before = str(network)
    narrow_last_layer(network)
    assert str(network) == before


@pytest.mark.parametrize("name", ["bert-cross", "xlmr-cross"])
def test_a_cross_encoder_is_loaded_so(checkpoint: Callable[[str], Path], name: str) -> None:
    model = cross_encoder(checkpoint(name))
    network: Any = model.ways.network
    assert isinstance(network.base_model.encoder.layer[-1], FirstTokenLayer)
    model.close()


@pytest.mark.parametrize("kind", [BertModel, BertForTokenClassification])
def test_networks_that_read_all_tokens_are_left_alone(kind: Any) -> None:
    network = kind(BertConfig(**SIZES))
    before = str(network)
    narrow_last_layer(network)
    assert str(network) == before


def test_a_class_that_only_bears_the_name_is_left_alone() -> None:
    class BertForSequenceClassification(torch.nn.Module):
        """Reads who knows what."""

        config = BertConfig(**SIZES)

    network = BertForSequenceClassification()
    narrow_last_layer(network)
    assert not list(network.modules())[1:]
