import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lab.training import export
from reranker.families.split_cross_encoder.network import SplitBert

NewModel = Callable[[], SplitBert]


@pytest.fixture(autouse=True)
def tiny_base(monkeypatch: pytest.MonkeyPatch, new_model: NewModel) -> None:
    base = new_model()
    monkeypatch.setattr(export, "cross_encoder_config", lambda: base.config)
    monkeypatch.setattr(export, "base_weights", base.bert.state_dict)


def changed(model: SplitBert) -> SplitBert:
    model.load_state_dict({name: part + 1 for name, part in model.state_dict().items()})
    return model


def test_an_overlay_holds_what_was_trained(tmp_path: Path, new_model: NewModel) -> None:
    model = changed(new_model())
    stored = load_file(export.write_overlay(model, tmp_path))
    assert {part.dtype for part in stored.values()} == {torch.float16}
    assert {name.split(".")[0] for name in stored} == {"bert", "gates", "segments", "interaction"}
    assert not any("layer.0." in name or "embeddings" in name for name in stored)
    read, fresh = export.read_overlay(tmp_path).state_dict(), new_model().state_dict()
    for name in (
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.0.output.dense.bias",
    ):
        assert torch.equal(read[name], fresh[name])
    assert torch.equal(read["gates"], model.gates)


def test_the_config_is_that_of_a_ranking_model(tmp_path: Path, new_model: NewModel) -> None:
    export.write_overlay(new_model(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["num_labels"] == 1
    assert config["model_type"] == "bert"
    assert config["layers_apart"] == 1
    assert config["hidden_size"] == new_model().config.hidden_size


def test_an_overlay_of_another_shape_is_refused(tmp_path: Path, new_model: NewModel) -> None:
    path = export.write_overlay(new_model(), tmp_path)
    weights = load_file(path)
    gates = weights.pop("gates")
    save_file(weights, path)
    with pytest.raises(ValueError, match="no weights for gates"):
        export.read_overlay(tmp_path)
    save_file({**weights, "gates": gates, "stray": gates.clone()}, path)
    with pytest.raises(ValueError, match="no place for the weights stray"):
        export.read_overlay(tmp_path)
