"""BERT encoders without padding and unread tokens: the same answers, for fewer products."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.models import bi_encoder, cross_encoder, needs_onednn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from reranker.backends.cpu_bert import layout as bert_layout
from reranker.backends.cpu_bert import prepacked_linear as packing
from reranker.backends.cpu_bert import unpad as bert_encoder
from reranker.backends.cpu_bert.unpad import UnpaddedEncoder, remove_padding

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
LENGTHS = (20, 3, 11, 19)


def network_of(family: str, kind: Any = AutoModelForSequenceClassification, **more: Any) -> Any:
    torch.manual_seed(3)
    config = AutoConfig.for_model(family, **(SIZES | more))
    network = kind.from_config(config).eval()
    for part in network.parameters():
        if part.ndim > 1:  # as initialised, the tokens hardly heed each other
            part.data.mul_(8)
        else:
            part.data.add_(torch.randn_like(part), alpha=0.1)
    return network


def unpadded(network: Any) -> Any:
    copied = copy.deepcopy(network)
    remove_padding(copied)
    assert isinstance(copied.base_model.encoder, UnpaddedEncoder)
    return copied


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 60, (4, 20), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    for row, length in enumerate(LENGTHS):
        ids[row, length:], mask[row, length:] = 1, 0
    return {"input_ids": ids, "attention_mask": mask}


BATCHES = (
    batch(),
    {name: part[:1] for name, part in batch().items()},
    {"input_ids": batch()["input_ids"][:1]},
)


@torch.inference_mode()
def logits(network: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    output: torch.Tensor = network(**inputs).logits
    return output


def rows_of_linear_layers(network: Any) -> dict[str, int]:
    """Run a batch; return how many rows each layer of the encoder was given."""
    rows: dict[str, int] = {}
    for name, module in network.base_model.encoder.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(
                lambda _, given, name=name: rows.update({name: given[0][..., 0].numel()})
            )
    with torch.inference_mode():
        network(**batch())
    return rows


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_whole_encoder(family: str, kernel: str) -> None:
    network = network_of(family)
    network.set_attn_implementation(kernel)
    unpadded_network = unpadded(network)
    for inputs in BATCHES:
        expected = logits(network, inputs)
        torch.testing.assert_close(logits(unpadded_network, inputs), expected, atol=1e-5, rtol=1e-5)
    assert logits(network, batch()).std() > 1e-3


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
def test_states_of_real_tokens_are_those_of_the_whole_encoder(family: str, kernel: str) -> None:
    network = network_of(family, AutoModel)
    network.set_attn_implementation(kernel)
    unpadded_network = unpadded(network)
    for inputs in BATCHES:
        real = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).bool()
        with torch.inference_mode():
            expected = network(**inputs).last_hidden_state
            output = unpadded_network(**inputs).last_hidden_state
        torch.testing.assert_close(output[real], expected[real], atol=1e-5, rtol=1e-5)
        assert output.shape == expected.shape
        assert not output[~real].any()


def test_a_network_that_labels_tokens_keeps_all_of_them() -> None:
    network = network_of("bert", AutoModelForTokenClassification)
    real = batch()["attention_mask"].bool()
    output, expected = logits(unpadded(network), batch()), logits(network, batch())
    torch.testing.assert_close(output[real], expected[real], atol=1e-5, rtol=1e-5)


def test_padding_is_not_computed() -> None:
    rows = rows_of_linear_layers(unpadded(network_of("bert", AutoModel)))
    assert len(rows) == 12
    assert set(rows.values()) == {sum(LENGTHS)}


def test_a_classifier_takes_only_the_first_token_past_keys_and_values() -> None:
    rows = rows_of_linear_layers(unpadded(network_of("bert")))
    last = {name: count for name, count in rows.items() if name.startswith("layer.1.")}
    assert last == {
        "layer.1.attention.self.query": len(LENGTHS),
        "layer.1.attention.self.key": sum(LENGTHS),
        "layer.1.attention.self.value": sum(LENGTHS),
        "layer.1.attention.output.dense": len(LENGTHS),
        "layer.1.intermediate.dense": len(LENGTHS),
        "layer.1.output.dense": len(LENGTHS),
    }
    assert {rows[name] for name in rows.keys() - last.keys()} == {sum(LENGTHS)}


def test_the_kernel_that_is_chosen_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of("bert")
    unpadded_network = unpadded(network)
    monkeypatch.setattr(functional, "scaled_dot_product_attention", None)  # calling it would raise
    unpadded_network.set_attn_implementation("eager")
    logits(unpadded_network, batch())
    unpadded_network.set_attn_implementation("sdpa")
    with pytest.raises(TypeError):
        logits(unpadded_network, batch())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
def test_long_texts_take_turns(
    kernel: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fused(*states: torch.Tensor, **more: Any) -> torch.Tensor:
        asked.append(states[0].shape)
        return attend(*states, **more)

    attend = functional.scaled_dot_product_attention
    monkeypatch.setattr(functional, "scaled_dot_product_attention", fused)
    network = network_of("bert", AutoModel).to(dtype)
    network.set_attn_implementation(kernel)
    unpadded_network, heads, width = unpadded(network), 4, 4
    with torch.inference_mode():
        expected = unpadded_network(**batch()).last_hidden_state
        monkeypatch.setattr(bert_layout, "LONG", max(LENGTHS))
        asked.clear()
        output = unpadded_network(**batch()).last_hidden_state
    close = 1e-5 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(output, expected, atol=close, rtol=close)
    # Plain products are quicker in bfloat16.
    turns = [(1, heads, length, width) for length in LENGTHS] * network.config.num_hidden_layers
    assert asked == (turns if (kernel, dtype) == ("sdpa", torch.float32) else [])


def test_other_devices_are_not_kept_waiting() -> None:
    """Where a batch runs at once, one text after the other would be slower."""
    network = network_of("bert", AutoModel).to(torch.bfloat16)
    encoder = unpadded(network).encoder.to("meta")
    seen: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            bert_encoder, "run_layers", lambda _, rows, layout, **more: seen.append(layout) or rows
        )
        for mask in (None, torch.ones(2, 1, 99, 99, dtype=torch.bool, device="meta")):
            encoder(torch.empty(2, 99, 16, dtype=torch.bfloat16, device="meta"), mask)
    assert [(each.lengths, each.real) for each in seen] == [(None, None)] * 2


def test_names_and_weights_stay() -> None:
    network = network_of("electra")
    expected, output = network.state_dict(), unpadded(network).state_dict()
    assert output.keys() == expected.keys()
    assert all(torch.equal(output[name], expected[name]) for name in expected)


@needs_onednn
def test_it_can_be_packed() -> None:
    unpadded_network = unpadded(network_of("xlm-roberta"))
    expected = logits(unpadded_network, batch())
    packing.pack(unpadded_network)
    assert isinstance(
        unpadded_network.base_model.encoder.layer[-1].output.dense, packing.PrepackedLinear
    )
    torch.testing.assert_close(logits(unpadded_network, batch()), expected, atol=1e-4, rtol=1e-4)


def left_alone(network: Any) -> bool:
    before = str(network)
    remove_padding(network)
    return str(network) == before


@pytest.mark.parametrize("family", ["distilbert", "modernbert"])
def test_other_families_are_left_alone(family: str) -> None:
    assert left_alone(network_of(family, pad_token_id=1, global_attn_every_n_layers=1))


@pytest.mark.parametrize(
    "more",
    [
        {"is_decoder": True},
        {"is_causal": True},
        {"output_hidden_states": True},
        {"output_attentions": True},
    ],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_causal_networks_and_those_that_return_more_are_left_alone(
    family: str, more: dict[str, bool]
) -> None:
    assert left_alone(network_of(family, **more))


def test_a_kernel_of_the_networks_own_keeps_its_encoder() -> None:
    network = network_of("bert")
    network.set_attn_implementation("flex_attention")
    assert left_alone(network)


def test_a_class_that_only_bears_the_name_is_left_alone() -> None:
    class BertModel(torch.nn.Module):
        """Reads who knows what."""

        def __init__(self) -> None:
            super().__init__()
            self.config = network_of("bert").config
            self.encoder = torch.nn.Identity()

        @property
        def base_model(self) -> Any:
            return self

    assert left_alone(BertModel())
    remove_padding(None)


@pytest.mark.parametrize("asked", ["output_hidden_states", "output_attentions"])
def test_all_states_and_attentions_are_returned_on_request(asked: str) -> None:
    network = network_of("bert", AutoModel)
    network.set_attn_implementation("eager")  # the kernel that tells attentions
    name = asked.removeprefix("output_")
    with torch.inference_mode():
        output, expected = (
            each(**batch(), **{asked: True})[name] for each in (unpadded(network), network)
        )
    assert len(output) == len(expected) >= 2
    for one, other in zip(output, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", [AutoModel, AutoModelForSequenceClassification])
def test_what_is_traced_has_plain_shapes_and_serves_all_batches(
    kind: Any, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bert_layout, "LONG", 1)
    network = network_of("bert", kind)
    network.set_attn_implementation(kernel)
    unpadded_network = unpadded(network)

    class First(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unpadded_network = unpadded_network

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.unpadded_network(input_ids=ids, attention_mask=mask)[0]
            return output

    inputs = batch()
    shorter = inputs["input_ids"][1:3, :11], inputs["attention_mask"][1:3, :11]
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how tracing is done
        traced = torch.jit.trace(First(), tuple(inputs.values()), check_trace=False)
        assert "aten::nonzero" not in str(traced.inlined_graph)
        output = traced(*shorter)
        expected = network(input_ids=shorter[0], attention_mask=shorter[1])[0]
    if output.ndim == 3:
        output, expected = output[shorter[1].bool()], expected[shorter[1].bool()]
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["bert-cross", "xlmr-cross"])
def test_a_cross_encoder_is_loaded_so(checkpoint: Callable[[str], Path], name: str) -> None:
    model = cross_encoder(checkpoint(name))
    network: Any = model.model.network
    assert network.base_model.encoder.first_only
    model.close()


@pytest.mark.parametrize("name", ["bert-mean", "xlmr-cls"])
def test_a_bi_encoder_is_loaded_so(checkpoint: Callable[[str], Path], name: str) -> None:
    model = bi_encoder(checkpoint(name))
    network: Any = model.model.network
    assert not network.encoder.first_only
    model.close()
