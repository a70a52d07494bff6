"""Packed BERT layers run as one compiled function, with the answers of plain ones."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from support.models import needs_onednn
from transformers import BertConfig, BertModel

from reranker.backends.cpu_bert import layers as bert_layers
from reranker.backends.cpu_bert import layout as bert_layout
from reranker.backends.cpu_bert import prepacked_linear as packing
from reranker.backends.cpu_bert.layers import compiled, packed_weights, run_layers
from reranker.backends.cpu_bert.layout import Layout
from reranker.backends.cpu_bert.prepacked_linear import PrepackedLinear

pytestmark = needs_onednn

COUNT, LENGTH, WIDTH, HEADS = 3, 9, 16, 4
LENGTHS = (9, 2, 5)


def layers_of(**more: Any) -> Any:
    torch.manual_seed(5)
    config = BertConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=32,
        **more,
    )
    network: Any = BertModel(config)
    layers = network.eval().requires_grad_(False).encoder.layer
    for part in layers.parameters():
        if part.ndim > 1:  # as initialised, the tokens hardly heed each other
            part.mul_(8)
        else:
            part.add_(torch.randn_like(part), alpha=0.1)
    return layers


def packed(layers: Any) -> Any:
    copied = copy.deepcopy(layers)
    packing.pack(copied)
    return copied


REAL = torch.arange(LENGTH) < torch.tensor(LENGTHS)[:, None]
PADDED = REAL[:, None, None]
MASKS = {
    "none": None,
    "bool": PADDED,
    "added": torch.zeros(COUNT, 1, 1, LENGTH).masked_fill(~PADDED, -torch.inf),
    "by head": torch.randn(COUNT, HEADS, LENGTH, LENGTH).masked_fill(~PADDED, -torch.inf),
}
LAYOUTS = {
    "padded": Layout(COUNT, LENGTH),
    "real": Layout.of(COUNT, LENGTH, REAL),
}


def run(layers: Any, layout: str, mask: str, *, first_only: bool = False) -> torch.Tensor:
    states = torch.randn(COUNT * LENGTH, WIDTH, generator=torch.Generator().manual_seed(2))
    place = LAYOUTS[layout]
    with torch.inference_mode():
        rows = place.rows(states.to(layers[0].output.LayerNorm.weight.dtype))
        output = run_layers(layers, rows, place, MASKS[mask], first_only=first_only)
    return output if first_only or layout == "real" else output[REAL.flatten()]


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the products that Python itself asks for, by kind, as they are asked for."""
    asked: list[str] = []
    forward = PrepackedLinear.forward

    def seen(self: PrepackedLinear, rows: torch.Tensor) -> torch.Tensor:
        asked.append("plain" if self.gelu is None else "gelu")
        return forward(self, rows)

    packing.works(torch.float32)  # tries a layer once
    monkeypatch.setattr(PrepackedLinear, "forward", seen)
    return asked


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("mask", "first_only"),
    [*((mask, False) for mask in MASKS), *((mask, True) for mask in MASKS if mask != "by head")],
)
def test_their_output_is_that_of_plain_layers(
    mask: str, layout: str, first_only: bool, kernel: str, operations: list[str]
) -> None:
    layers = layers_of(attn_implementation=kernel)
    expected = run(layers, layout, mask, first_only=first_only)
    output = run(packed(layers), layout, mask, first_only=first_only)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    assert not operations  # all were asked for by the compiled function


@pytest.mark.parametrize("kernel", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("lengths", [(70, 70, 70), (70, 5, 33), (9, 64, 96)])
def test_long_texts_are_attended_to_one_by_one_with_the_same_output(
    lengths: tuple[int, ...], first_only: bool, dtype: torch.dtype, kernel: str
) -> None:
    longest = max(lengths)
    real = torch.arange(longest) < torch.tensor(lengths)[:, None]
    states = torch.randn(3 * longest, WIDTH).to(dtype)
    layers = layers_of(attn_implementation=kernel).to(dtype)
    together, apart = (Layout.of(3, longest, real, by_text=by_text) for by_text in (False, True))
    assert (together.lengths, apart.lengths) == (None, list(lengths))
    with torch.inference_mode():
        rows = apart.rows(states)
        expected = run_layers(layers, rows, together, first_only=first_only)
        for each in (layers, packed(layers)):
            output = run_layers(each, rows, apart, first_only=first_only)
            close = 1e-5 if dtype == torch.float32 else 0.1
            torch.testing.assert_close(output, expected, atol=close, rtol=close)


def test_short_texts_and_very_long_ones_are_not() -> None:
    shortest, longest = bert_layout.LONG, bert_layout.TOO_LONG
    for length in (shortest - 1, longest + 1):
        assert Layout.of(2, length, None, by_text=True).lengths is None
        real = torch.arange(2 * length).view(2, -1) > 3
        assert Layout.of(2, length, real, by_text=True).lengths is None
    for length in (shortest, longest):
        assert Layout.of(2, length, None, by_text=True).lengths == [length, length]
        assert Layout.of(2, length, None).lengths is None


def test_gradients_flow_through_long_texts() -> None:
    layers = layers_of().requires_grad_(True)
    place = Layout.of(1, bert_layout.LONG, None, by_text=True)
    run_layers(layers, torch.randn(bert_layout.LONG, WIDTH), place).sum().backward()
    assert all(part.grad is not None for part in layers.parameters())


def test_texts_padded_on_the_left_keep_their_places() -> None:
    layers = layers_of()
    left = REAL.flip(1)
    place = Layout.of(COUNT, LENGTH, left)
    states = torch.randn(COUNT, LENGTH, WIDTH)
    with torch.inference_mode():
        output = run_layers(layers, place.rows(states.flatten(0, 1)), place)
        alone = [
            run_layers(layers, states[row, left[row]], Layout.of(1, size, None))
            for row, size in enumerate(LENGTHS)
        ]
    torch.testing.assert_close(output, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_padding_does_not_matter() -> None:
    layers = packed(layers_of())
    torch.testing.assert_close(
        run(layers, "real", "bool"), run(layers, "padded", "bool"), atol=1e-5, rtol=1e-5
    )


def test_another_activation_is_run_part_by_part(operations: list[str]) -> None:
    layers = layers_of(hidden_act="relu")
    expected = run(layers, "real", "bool")
    torch.testing.assert_close(run(packed(layers), "real", "bool"), expected, atol=1e-5, rtol=1e-5)
    assert operations == ["plain"] * 12


def test_so_is_a_layer_that_is_packed_in_parts(operations: list[str]) -> None:
    layers = layers_of()
    expected = run(layers, "real", "bool")
    mixed = packed(layers)
    own = mixed[1].attention.self
    own.key = own.key.unpacked()
    torch.testing.assert_close(run(mixed, "real", "bool"), expected, atol=1e-5, rtol=1e-5)
    assert len(operations) == 11


def test_without_torchscript_the_output_stays(
    monkeypatch: pytest.MonkeyPatch, operations: list[str]
) -> None:
    layers = packed(layers_of())
    expected = run(layers, "real", "bool")
    monkeypatch.setattr(bert_layers, "compiled", lambda: None)
    torch.testing.assert_close(run(layers, "real", "bool"), expected, atol=1e-5, rtol=1e-5)
    assert len(operations) == 12


def test_a_torch_that_does_not_compile_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bert_layers, "_LINEAR", "no graph")
    caplog.set_level("INFO")
    compiled.cache_clear()
    try:
        assert compiled() is None
    finally:
        compiled.cache_clear()
    assert "one operation after the other" in caplog.text


def test_weights_that_change_between_two_packings_are_seen() -> None:
    layers = packed(layers_of())
    before = run(layers, "real", "bool")
    assert packed_weights(layers[-1]) is packed_weights(layers[-1])
    packing.unpack(layers)
    assert packed_weights(layers[-1]) is None
    with torch.no_grad():
        layers[-1].output.dense.weight.mul_(2)
    expected = run(layers, "real", "bool")
    packing.pack(layers)
    output = run(layers, "real", "bool")
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
    assert (output - before).abs().max() > 1e-2


def test_threads_may_compile_and_run_it_at_the_same_time() -> None:
    layers = packed(layers_of())
    expected = run(layers, "real", "bool")
    compiled.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        for output in pool.map(lambda _: run(layers, "real", "bool"), range(64)):
            torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)
