"""OpenVINO as a backend: the same scores, exported once, and optional."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.memory import needs_proc, printed_by
from support.models import FLOAT32, bi_encoder, cross_encoder
from support.texts import LONG, ODD, PLAIN

from reranker.backends import openvino
from reranker.backends.cpu_bert import prepacked_linear
from reranker.backends.device import DeviceConfig, choose_device
from reranker.backends.exports import default_folder, offer_exports
from reranker.backends.tuning.agreement import TOLERANCE, difference
from reranker.backends.tuning.autotune import autotune
from reranker.errors import MissingExtra, ModelUnavailable, SettingsError
from reranker.hub.catalog import Catalog
from reranker.hub.pool import LocalModelPool
from reranker.types import RequestContext

pytestmark = pytest.mark.skipif(not openvino.is_installed(), reason="no openvino, no nncf")

Checkpoint = Callable[[str], Path]
TEXTS = [*PLAIN, *ODD, LONG]


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture
def named(exports: Path) -> DeviceConfig:
    return replace(FLOAT32, threads=1, backend="openvino", openvino_cache_dir=exports)


def score(model: object, texts: list[str] = TEXTS) -> np.ndarray:
    return model.score("paris", texts, max_tokens=50, context=RequestContext()).logits  # type: ignore[attr-defined]


def torch_variants() -> list[str]:
    packed = ", packed weights" if prepacked_linear.works(torch.float32) else ""
    return list(dict.fromkeys([f"sdpa{packed}", f"eager{packed}", "sdpa"]))


def written(exports: Path) -> dict[str, float]:
    return {path.parent.name: path.stat().st_mtime for path in exports.glob("*/export.json")}


@pytest.mark.parametrize("name", ["bert-cross", "xlmr-cross"])
def test_an_export_scores_as_the_network_does(
    checkpoint: Checkpoint, named: DeviceConfig, name: str
) -> None:
    model = cross_encoder(checkpoint(name))
    expected = score(model)
    offer_exports(model, named)
    assert model.variants.backend == "openvino"
    assert list(model.variants.all()) == ["openvino"]
    # One by one and together: lengths and sizes of a batch are open in the export.
    np.testing.assert_allclose(score(model), expected, atol=1e-4, rtol=0)
    for text, one in zip(TEXTS, expected, strict=True):
        np.testing.assert_allclose(score(model, [text]), [one], atol=1e-4, rtol=0)
    model.close()


@pytest.mark.parametrize("name", ["bert-mean", "xlmr-cls-prompts", "m3"])
def test_an_export_encodes_as_the_network_does(
    checkpoint: Checkpoint, named: DeviceConfig, name: str
) -> None:
    model = bi_encoder(checkpoint(name), heads=name == "m3")

    def encode() -> tuple[np.ndarray, ...]:
        encoded = model.encode(
            TEXTS, kind="query", max_tokens=None, tokens=True, context=RequestContext()
        )
        return encoded.vectors, *(each.vectors for each in encoded.tokens or ())

    expected = encode()
    offer_exports(model, named)
    assert model.variants.backend == "openvino"
    for found, want in zip(encode(), expected, strict=True):
        np.testing.assert_allclose(found, want, atol=1e-3, rtol=0)
    model.close()


def test_int8_that_was_asked_for_is_close_enough(
    checkpoint: Checkpoint, named: DeviceConfig
) -> None:
    model = cross_encoder(checkpoint("bert-cross"))
    expected = score(model, PLAIN)
    offer_exports(model, replace(named, int8=True))
    assert list(model.variants.all()) == ["openvino int8"]
    assert difference(score(model, PLAIN), expected) < 2 * TOLERANCE["int8"]
    model.close()


def test_int8_that_is_off_by_too_much_is_refused(
    checkpoint: Checkpoint, named: DeviceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOLERANCE, "int8", -1.0)
    model = cross_encoder(checkpoint("bert-cross"))
    with pytest.raises(ModelUnavailable, match="does not run on openvino") as caught:
        offer_exports(model, replace(named, int8=True))
    assert "off by" in str(caught.value.detail)
    assert model.variants.backend == "torch"
    model.close()


def export_in_int8(model: Any, folder: Path) -> Path:
    with model.variants.plain_weights(model.scheduler.exclusive):
        return openvino.export(model.model.network, model.export_samples(), folder, int8=True)


@pytest.mark.parametrize("name", ["bert-cross", "xlmr-cross"])
def test_int8_leaves_alone_what_is_made_for_one_token(
    checkpoint: Checkpoint, tmp_path: Path, name: str
) -> None:
    model = cross_encoder(checkpoint(name))
    folder = export_in_int8(model, tmp_path)
    network = openvino._openvino().Core().read_model(folder / "model.xml")
    rounded = {
        reader.get_node().get_friendly_name().partition(".layer.")[2]
        for node in network.get_ops()
        if node.get_type_name() == "FakeQuantize"
        for reader in node.output(0).get_target_inputs()
        if reader.get_node().get_type_name() == "MatMul"
    }
    layer = ("attention.self.query", "attention.output.dense", "intermediate.dense", "output.dense")
    every = {f"0.{part}/aten::linear/MatMul" for part in layer}
    every |= {
        f"{place}.attention.self.{k}/aten::linear/MatMul"
        for k in ("key", "value")
        for place in ("0", "1")
    }
    assert rounded == every
    model.close()


def test_an_export_is_made_once(
    checkpoint: Checkpoint, named: DeviceConfig, exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (cross_encoder(checkpoint("bert-cross")) for _ in range(2))
    offer_exports(first, named)
    before = written(exports)
    monkeypatch.setattr(openvino, "_write", None)  # calling it would raise
    offer_exports(second, named)
    assert written(exports) == before
    assert not list(exports.glob("new-*"))
    np.testing.assert_array_equal(score(second), score(first))
    first.close()
    second.close()


def test_other_weights_have_another_export(
    checkpoint: Checkpoint, named: DeviceConfig, exports: Path
) -> None:
    model = cross_encoder(checkpoint("bert-cross"))
    offer_exports(model, named)
    before = set(written(exports))
    other = cross_encoder(checkpoint("bert-cross"))
    with torch.no_grad():
        next(other.model.weights[0].parameters()).add_(1)
    offer_exports(other, named)
    assert len(set(written(exports)) - before) == 1
    model.close()
    other.close()


def test_a_broken_export_is_made_again(checkpoint: Checkpoint, named: DeviceConfig, tmp_path: Path):
    named = replace(named, openvino_cache_dir=tmp_path)
    model = cross_encoder(checkpoint("bert-cross"))
    expected = score(model)
    offer_exports(model, named)
    model.close()
    (xml,) = tmp_path.glob("*/model.xml")
    xml.write_text("<net")
    again = cross_encoder(checkpoint("bert-cross"))
    offer_exports(again, named)
    np.testing.assert_allclose(score(again), expected, atol=1e-4, rtol=0)
    again.close()


def test_a_network_that_differs_is_refused_by_name_and_left_out_otherwise(
    checkpoint: Checkpoint,
    named: DeviceConfig,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = cross_encoder(checkpoint("bert-cross"))
    monkeypatch.setitem(TOLERANCE, "float32", -1.0)
    with pytest.raises(ModelUnavailable, match="does not run on openvino") as caught:
        offer_exports(model, named)
    assert "off by" in str(caught.value.detail)
    with caplog.at_level(logging.WARNING):
        offer_exports(model, replace(named, backend="auto"))
    assert "does not run on openvino: its outputs are off by" in caplog.text
    assert model.variants.backend == "torch"
    assert list(model.variants.all()) == torch_variants()
    model.close()


def test_a_failing_conversion_names_its_reason(
    checkpoint: Checkpoint,
    named: DeviceConfig,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no rule for aten::fancy")

    monkeypatch.setattr(openvino, "_write", fail)
    model = cross_encoder(checkpoint("bert-cross"))
    with caplog.at_level(logging.WARNING):
        offer_exports(model, replace(named, backend="auto", openvino_cache_dir=tmp_path))
    assert "aten::fancy" in caplog.text
    assert model.variants.backend == "torch"
    assert list(tmp_path.iterdir()) == []
    model.close()


def test_without_the_packages_it_fails_by_name_and_is_left_out_otherwise(
    checkpoint: Checkpoint, named: DeviceConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    model = cross_encoder(checkpoint("bert-cross"))
    with pytest.raises(MissingExtra, match=r"reranker\[openvino\]"):
        offer_exports(model, named)
    offer_exports(model, replace(named, backend="auto"))
    assert model.variants.backend == "torch"
    model.close()


def test_a_warm_up_may_choose_it_and_torch_stays_where_it_is_faster(
    checkpoint: Checkpoint, named: DeviceConfig
) -> None:
    model = cross_encoder(checkpoint("bert-cross"))
    expected = score(model)
    offer_exports(model, replace(named, backend="auto"))
    assert model.variants.backend == "torch"
    for name, use in model.variants.all().items():
        use()
        assert model.variants.backend == ("openvino" if name == "openvino" else "torch")
        np.testing.assert_allclose(score(model), expected, atol=1e-4, rtol=0)
    assert autotune(model).variant in {*torch_variants(), "openvino"}
    np.testing.assert_allclose(score(model), expected, atol=1e-4, rtol=0)
    model.close()


def test_a_model_of_the_config_may_have_a_backend_of_its_own(
    checkpoint: Checkpoint, exports: Path
) -> None:
    folder = str(checkpoint("bert-cross"))
    catalog = Catalog(
        {"cross-encoder": {"one": folder, "two": {"path": folder, "backend": "openvino"}}}
    )
    pool = LocalModelPool(
        catalog, lambda: replace(FLOAT32, openvino_cache_dir=exports), offline=True
    )
    pool.cross_encoder("one")
    pool.cross_encoder("two")
    backends = {status.id: status.backend for status in pool.loaded()}
    pool.close()
    assert backends == {"one": "torch", "two": "openvino"}
    with pytest.raises(SettingsError, match="'backend' should be one of"):
        Catalog({"cross-encoder": {"two": {"path": folder, "backend": "fast"}}})


def test_what_was_computed_by_another_backend_is_not_shared(
    checkpoint: Checkpoint, named: DeviceConfig
) -> None:
    class Store:
        def __init__(self) -> None:
            self.names: list[str] = []

        def find(self, keys: list[str]) -> list[bytes | None]:
            self.names = list(keys)
            return [None] * len(keys)

        def keep(self, items: object) -> None:
            pass

        def close(self) -> None:
            pass

    store = Store()
    model = cross_encoder(checkpoint("bert-cross"), store=store)  # type: ignore[arg-type]
    score(model, ["a"])
    before = store.names
    offer_exports(model, named)
    score(model, ["a"])
    assert set(before).isdisjoint(store.names)
    model.close()


def test_nothing_is_sent_home_by_the_exporters() -> None:
    openvino._openvino()
    assert sys.modules.get("openvino_telemetry") is None


def test_it_is_for_the_cpu_alone() -> None:
    with pytest.raises(SettingsError, match="runs on the CPU"):
        choose_device("meta", backend="openvino")


def test_exports_are_kept_with_the_users_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/reranker")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache/reranker"


NEW_SHAPES = """
import pathlib
import sys
import torch
from reranker.backends import openvino

class Attention(torch.nn.Module):
    def forward(self, rows):
        return torch.softmax(rows @ rows.transpose(1, 2), -1) @ rows

path = pathlib.Path(sys.argv[1], "model.xml")
library = openvino._openvino()
converted = library.convert_model(Attention(), example_input=torch.ones(2, 9, 64))
library.save_model(converted, path)
request, seen = openvino._compile(path, "float32", 1), {}
for length in range(720, 20, -1):
    openvino._run(request, [torch.ones(2, length, 64)])
    seen[length] = resident() if length in (420, 21) else 0
print(seen[21] - seen[420])
"""


@needs_proc
def test_ever_new_shapes_take_no_more_memory(tmp_path: Path) -> None:
    """By default OpenVINO caches 5,000 shapes, 40 MiB here."""
    assert printed_by(NEW_SHAPES, str(tmp_path)) < 10
