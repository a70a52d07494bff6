"""Packed weights: the same output, the same state dict, and unpacking."""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.memory import needs_proc, printed_by
from support.models import FLOAT32, bi_encoder, cross_encoder, needs_onednn
from support.texts import LONG, ODD, PLAIN
from torch import nn
from transformers.activations import GELUActivation

from reranker.backends.cpu_bert import prepacked_linear as packing
from reranker.backends.cpu_bert.prepacked_linear import (
    PrepackedLinear,
    can_pack,
    is_packed,
    pack,
    unpack,
)
from reranker.backends.exports import prepack_weights
from reranker.backends.fingerprint import fingerprint
from reranker.backends.torch_backend import TorchBackend
from reranker.backends.variants import ExecutionVariants
from reranker.hub.catalog import Catalog
from reranker.hub.pool import LocalModelPool
from reranker.types import RequestContext

Checkpoint = Callable[[str], Path]
TEXTS = [*PLAIN, *ODD, LONG]

pytestmark = needs_onednn


def score(model: Any) -> np.ndarray:
    logits: np.ndarray = model.score("paris", TEXTS, max_tokens=50, context=RequestContext()).logits
    return logits


def exact_score(model: Any) -> np.ndarray:
    """Score in float64: in float32 the last bits depend on where a matmul's buffers lie."""
    model.model.network.double()
    scores = score(model)
    model.model.network.float()
    return scores


def plain_cross_encoder(folder: Path) -> Any:
    """Return a cross-encoder that was packed when it was loaded, with its weights plain again."""
    model: Any = cross_encoder(folder)
    model.variants.torch.unpack()
    return model


def layers(network: nn.Module) -> list[str]:
    return [type(module).__name__ for module in network.modules()]


@pytest.mark.parametrize("name", ["bert-cross", "xlmr-cross"])
def test_a_packed_cross_encoder_scores_as_before(checkpoint: Checkpoint, name: str) -> None:
    model = plain_cross_encoder(checkpoint(name))
    torch_backend, network = model.variants.torch, model.model.network
    expected, exact, before = score(model), exact_score(model), layers(network)
    weights = copy.deepcopy(network.state_dict())
    torch_backend.pack()
    assert model.variants.packed
    # Each of the two layers has six, and the last is followed by the GELU that it takes in.
    assert layers(network).count("PrepackedLinear") >= 12
    assert layers(network).count("Linear") == 0
    np.testing.assert_allclose(score(model), expected, atol=1e-5, rtol=0)
    unpack(network)
    assert not model.variants.packed
    assert layers(network) == before
    for name, part in network.state_dict().items():
        assert torch.equal(part, weights[name])
    np.testing.assert_allclose(exact_score(model), exact, atol=1e-6, rtol=0)
    model.close()


@pytest.mark.parametrize("name", ["bert-mean", "xlmr-cls"])
def test_a_packed_bi_encoder_encodes_as_before(checkpoint: Checkpoint, name: str) -> None:
    packed = bi_encoder(checkpoint(name))
    plain = bi_encoder(checkpoint(name), replace(FLOAT32, cpu_weight_layout="plain"))
    assert packed.variants.packed
    assert not plain.variants.packed

    def encode(model: Any) -> tuple[np.ndarray, list[np.ndarray]]:
        encoded = model.encode(
            TEXTS, kind="document", max_tokens=None, tokens=True, context=RequestContext()
        )
        assert encoded.tokens is not None
        return encoded.vectors, [each.vectors for each in encoded.tokens]

    found, expected = encode(packed), encode(plain)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5, rtol=0)
    for one, other in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3, rtol=0)
    assert packed.weight_bytes == plain.weight_bytes
    packed.close()
    plain.close()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 24), (7, 24), (2, 3, 24), (300, 24)])
def test_a_packed_layer_is_the_layer(
    dtype: torch.dtype, bias: bool, shape: tuple[int, ...]
) -> None:
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN has no products of bfloat16 on this CPU")
    assert packing.works(dtype)
    layer = nn.Linear(24, 40, bias=bias).to(dtype)
    rows = torch.randn(shape).to(dtype)
    packed = PrepackedLinear(layer)
    with torch.inference_mode():
        torch.testing.assert_close(packed(rows), layer(rows), rtol=2e-2, atol=2e-2)
    assert torch.equal(packed.weight, layer.weight)
    back = packed.unpacked()
    assert torch.equal(back.weight, layer.weight)
    assert (back.bias is None) is (not bias)


def test_the_state_dict_is_that_of_the_plain_network(checkpoint: Checkpoint) -> None:
    model = plain_cross_encoder(checkpoint("bert-cross"))
    variants, network = model.variants, model.model.network
    expected, digest = network.state_dict(), fingerprint([network])
    variants.torch.pack()
    found = network.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    with variants.plain_weights(model.scheduler.exclusive):
        assert fingerprint([network]) == digest
        assert not variants.packed
    assert variants.packed
    model.close()


def test_no_request_runs_a_half_unpacked_network(checkpoint: Checkpoint) -> None:
    model = cross_encoder(checkpoint("bert-cross"))
    assert model.variants.packed
    expected = score(model)
    over = threading.Event()

    def switch() -> None:
        while not over.is_set():
            with model.variants.plain_weights(model.scheduler.exclusive):
                pass

    with ThreadPoolExecutor(1) as pool:
        switching = pool.submit(switch)
        try:
            for _ in range(100):
                np.testing.assert_allclose(score(model), expected, atol=1e-4, rtol=0)
        finally:
            over.set()
        switching.result()
    model.close()


def test_no_second_copy_of_the_weights_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))
    alive = [weakref.ref(layer) for layer in network]
    seen: list[int] = []

    class Watched(PrepackedLinear):
        def __init__(self, *given: Any) -> None:
            seen.append(sum(ref() is not None for ref in alive))
            super().__init__(*given)

    monkeypatch.setattr(packing, "PrepackedLinear", Watched)
    pack(network)
    assert seen == [4, 3, 2, 1]


def test_a_model_whose_output_differs_when_packed_stays_plain(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A network may read its layers' weights itself."""
    model = plain_cross_encoder(checkpoint("bert-cross"))
    expected = exact_score(model)
    forward = PrepackedLinear.forward
    monkeypatch.setattr(PrepackedLinear, "forward", lambda self, rows: 1.5 * forward(self, rows))
    prepack_weights(model, "float32")
    assert "packed weights are left out" in caplog.text
    assert list(model.variants.all()) == ["sdpa", "eager"]
    np.testing.assert_allclose(exact_score(model), expected, atol=1e-6, rtol=0)
    model.close()


def test_packing_that_was_asked_for_and_is_impossible_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = nn.Sequential(nn.Linear(4, 4)).half()
    TorchBackend("half", network, cpu_weight_layout="packed").pack()
    assert "half keeps its weights plain" in caplog.text


def test_a_weight_that_others_use_too_stays() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(8, 4)
            self.out = nn.Linear(4, 8)
            self.out.weight = self.words.weight
            self.own = nn.Linear(4, 4)

    network = Tied()
    pack(network)
    assert type(network.out) is nn.Linear
    assert type(network.own) is PrepackedLinear


def test_parts_that_must_be_exact_are_left_alone() -> None:
    class Careful(nn.Module):
        exact_parts = ("head", "last")

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(4, 4)
            self.head = nn.Sequential(nn.Linear(4, 4))
            self.last = nn.Linear(4, 1)

    network = Careful()
    pack(network)
    kinds = [type(each) for each in (network.body, network.head[0], network.last)]
    assert kinds == [PrepackedLinear, nn.Linear, nn.Linear]


def test_a_dtype_without_prepacked_matmuls_stays_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    half = nn.Sequential(nn.Linear(4, 4)).half()
    pack(half)
    assert not is_packed(half)
    assert not can_pack(half)
    packing.works.cache_clear()
    monkeypatch.setattr(packing, "_ROWS", "no number")
    assert not packing.works(torch.float32)
    packing.works.cache_clear()


@pytest.mark.parametrize("activation", [GELUActivation(), nn.GELU(approximate="tanh")])
def test_a_network_of_another_library_keeps_its_activation(activation: nn.Module) -> None:
    """Only of transformers' own modules is it known that they call one after the other."""

    class Middle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(4, 4)
            self.intermediate_act_fn = activation

    network = Middle()
    pack(network)
    assert network.dense.gelu is None
    assert network.intermediate_act_fn is activation


@pytest.mark.parametrize(
    ("layout", "offered"),
    [
        ("auto", ["sdpa, packed weights", "eager, packed weights", "sdpa"]),
        ("packed", ["sdpa, packed weights", "eager, packed weights"]),
        ("plain", ["sdpa", "eager"]),
    ],
)
def test_which_layouts_are_offered(checkpoint: Checkpoint, layout: str, offered: list[str]) -> None:
    network = plain_cross_encoder(checkpoint("bert-cross")).model.network
    variants = ExecutionVariants(backend := TorchBackend("model", network, "auto", layout))
    backend.pack()
    assert list(variants.all()) == offered
    use = variants.all()
    for name in offered:
        use[name]()
        assert next(iter(variants.all())) == name
        assert variants.packed is name.endswith("packed weights")


@pytest.mark.parametrize(("layout", "packed"), [("auto", True), ("plain", False)])
def test_a_model_is_packed_when_it_is_loaded(
    checkpoint: Checkpoint, layout: str, packed: bool
) -> None:
    catalog = Catalog({"bi-encoder": {}, "cross-encoder": {"mine": str(checkpoint("bert-cross"))}})
    provider = LocalModelPool(
        catalog, lambda: replace(FLOAT32, cpu_weight_layout=layout), offline=True
    )
    try:
        model: Any = provider.cross_encoder("mine")
        assert model.variants.packed is packed
        assert model.scheduler.config.concurrent_batches == 2
    finally:
        provider.close()


NEW_SHAPES = """
import torch
from reranker.backends.cpu_bert.prepacked_linear import PrepackedLinear
from reranker.process_tuning import tune_process

tune_process()
torch.set_num_threads(1)

linear, seen = PrepackedLinear(torch.nn.Linear(384, 384).requires_grad_(False)), {}
with torch.inference_mode():
    for rows in range(200, 700):
        linear(torch.ones(rows, 384))
        seen[rows] = resident() if rows in (300, 699) else 0
print(seen[699] - seen[300])
"""


@needs_proc
def test_ever_new_numbers_of_rows_take_no_more_memory() -> None:
    """Untuned, oneDNN keeps a quarter of a megabyte for each, 100 MiB here."""
    assert printed_by(NEW_SHAPES) < 20
