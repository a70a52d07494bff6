import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertForSequenceClassification

from reranker_bench.training import export

NewModel = Callable[[], BertForSequenceClassification]


@pytest.fixture(autouse=True)
def tiny_base(monkeypatch: pytest.MonkeyPatch, new_model: NewModel) -> None:
    base = new_model()
    monkeypatch.setattr(export, "cross_encoder_config", lambda: base.config)
    monkeypatch.setattr(export, "base_weights", base.state_dict)


def test_an_overlay_holds_all_but_the_embeddings(tmp_path: Path, new_model: NewModel) -> None:
    weights = {k: v + 1 for k, v in new_model().state_dict().items()}
    stored = load_file(export.write_overlay(weights, tmp_path))
    assert {v.dtype for v in stored.values()} == {torch.float16}
    assert {k.split(".")[1] for k in stored} == {"encoder", "pooler", "weight", "bias"}
    read = export.read_overlay(tmp_path).state_dict()
    name = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(read[name], new_model().state_dict()[name])
    assert torch.equal(read["classifier.bias"], weights["classifier.bias"])


def test_the_config_is_that_of_a_ranking_model(tmp_path: Path, new_model: NewModel) -> None:
    export.write_overlay(new_model().state_dict(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["num_labels"] == 1
    assert config["model_type"] == "bert"
    assert config["hidden_size"] == new_model().config.hidden_size


def test_an_overlay_of_another_shape_is_refused(tmp_path: Path, new_model: NewModel) -> None:
    weights = new_model().state_dict()
    del weights["classifier.bias"]
    export.write_overlay(weights, tmp_path)
    with pytest.raises(ValueError, match=r"differs in \['classifier\.bias'\]"):
        export.read_overlay(tmp_path)
