"""Checkpoints of a given geometry that libraries can load."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from support.peers import InProcess
from transformers import XLMRobertaForSequenceClassification

from lab.peers.environments import OWN, PEERS
from lab.speed.checkpoints import builders
from lab.speed.checkpoints.geometry import XLMR_BASE, Geometry
from lab.speed.checkpoints.tokenizer_files import tokenizer_at
from lab.speed.workloads import agreement

TINY = Geometry(layers=2, hidden=32, heads=4, inner=64, vocabulary=600, window=64)
TEXTS = [f"the wing number {n} of an aircraft in {n} degrees of heat" for n in range(40)]
POOLS = [
    ("wing of an aircraft", ["heat of the wing", "number 7 of an aircraft in heat", "degrees"])
]


def test_operations_are_counted_by_hand() -> None:
    # 12 layers, 128 tokens: 12 * (128 * (8 * 768^2 + 4 * 768 * 3072) + 4 * 128^2 * 768)
    assert XLMR_BASE.flops(128) == pytest.approx(22.35e9, rel=1e-3)
    assert Geometry(1, 2, 1, 3, 10).flops(5) == 5 * (8 * 4 + 4 * 2 * 3) + 4 * 25 * 2


def scores_of(adapter, folder, role, dtype="float32"):
    session = InProcess(adapter)
    try:
        session.ask(
            "load",
            role=role,
            folder=str(folder),
            dtype=dtype,
            device="cpu",
            threads=1,
            max_tokens=64,
            options={"measure": False} if adapter == OWN.adapter else {},
        )
        session.ask("texts", pools=POOLS)
        return session.ask("run")["scores"]
    finally:
        session.ask("stop")


@pytest.mark.parametrize(
    ("role", "build"),
    [
        ("cross-encoder", builders.xlmr_cross_encoder),
        ("bi-encoder", builders.xlmr_bi_encoder),
    ],
)
def test_ours_and_theirs_compute_the_same(role, build, tmp_path, caplog) -> None:
    caplog.set_level(logging.ERROR)
    folder = build(tmp_path / role, TINY, TEXTS)
    theirs = scores_of(PEERS[0].adapter, folder, role)
    assert agreement.difference(scores_of(OWN.adapter, folder, role), theirs) < 1e-5
    assert agreement.deviation(theirs) > 1e-3
    short = scores_of(PEERS[0].adapter, folder, role, dtype="bfloat16")
    assert 0 < agreement.difference(short, theirs) < 0.1


def test_a_folder_is_built_once_and_anew_if_that_was_broken_off(tmp_path) -> None:
    folder = builders.xlmr_cross_encoder(tmp_path / "w", TINY, TEXTS)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert builders.xlmr_cross_encoder(tmp_path / "w", TINY, TEXTS) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    (folder / builders.DONE).unlink()
    builders.xlmr_cross_encoder(tmp_path / "w", TINY, TEXTS)
    assert (folder / "model.safetensors").stat().st_mtime_ns != before


def test_a_head_reads_what_differs_most_between_texts(tmp_path) -> None:
    folder = builders.xlmr_cross_encoder(tmp_path / "w", TINY, TEXTS)
    model = XLMRobertaForSequenceClassification.from_pretrained(folder).eval()
    head = model.classifier.out_proj
    reached: list[torch.Tensor] = []
    head.register_forward_pre_hook(lambda _, inputs: reached.append(inputs[0][0]))
    tokenizer = tokenizer_at(folder)
    with torch.no_grad():
        for text in TEXTS[:16]:
            model(torch.tensor([tokenizer.encode(text).ids]))
        rows = torch.stack(reached)
        logits = head(rows)[:, 0]
        others = torch.nn.functional.normalize(torch.randn(100, TINY.hidden))
        spreads = (rows @ others.T).std(dim=0) * head.weight.norm()
    assert float(logits.mean()) == pytest.approx(0, abs=1e-4)
    assert float(logits.std()) == pytest.approx(0.5, abs=1e-3)
    assert float(spreads.max()) < 0.5


def test_older_libraries_find_a_tokenizer_class_they_know(tmp_path) -> None:
    folder = builders.xlmr_cross_encoder(tmp_path / "w", TINY, TEXTS)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert config["model_max_length"] == TINY.window
