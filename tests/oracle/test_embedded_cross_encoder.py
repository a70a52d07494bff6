"""The embedded cross-encoder reads pairs in the engine as it read them in training."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from support.models import FLOAT32, embedded_cross_encoder
from support.texts import LONG, ODD, PLAIN

from lab.training.base import base_tokenizer
from lab.training.export import read_overlay
from lab.training.optimization.batches import chunked
from reranker import Reranker
from reranker.backends import openvino
from reranker.backends.exports import offer_exports
from reranker.backends.tuning.agreement import TOLERANCE, difference
from reranker.hub.catalog import DEFAULT_CROSS_ENCODER
from reranker.settings import Settings
from reranker.types import RequestContext

FOLDER = Path(str(files("reranker.hub") / "embedded" / DEFAULT_CROSS_ENCODER))
QUERY, TOKENS = "how does a water pump work", 64
DOCUMENTS = [*PLAIN, *(text for text in ODD if text.strip()), LONG]


def test_logits_agree_with_the_training_forward() -> None:
    tokenizer = base_tokenizer()
    query, *documents = (
        np.array(tokenizer(text, add_special_tokens=False)["input_ids"][:TOKENS], dtype=np.int32)
        for text in (QUERY, *DOCUMENTS)
    )
    network = read_overlay(FOLDER)
    with torch.inference_mode():
        wanted = [
            float(network(chunk.ids, chunk.types, chunk.mask).logits[0, 0])
            for (chunk,) in (chunked([(query, document)], 1) for document in documents)
        ]
    with Reranker(Settings.load(dtype="float32", backend="torch", offline=True)) as engine:
        model = engine.models.cross_encoder(DEFAULT_CROSS_ENCODER)
        scored = model.score(QUERY, DOCUMENTS, max_tokens=TOKENS, context=RequestContext())
    assert scored.logits == pytest.approx(wanted, abs=1e-3)


@pytest.mark.skipif(not openvino.is_installed(), reason="no openvino, no nncf")
@pytest.mark.parametrize(("int8", "name"), [(False, "openvino"), (True, "openvino int8")])
def test_an_export_for_openvino_agrees_with_the_network(
    tmp_path: Path, int8: bool, name: str
) -> None:
    model = embedded_cross_encoder()
    plain = model.score(QUERY, DOCUMENTS, max_tokens=TOKENS, context=RequestContext()).logits
    named = replace(FLOAT32, backend="openvino", openvino_cache_dir=tmp_path, int8=int8)
    offer_exports(model, named)
    assert model.variants.backend == name
    exported = model.score(QUERY, DOCUMENTS, max_tokens=TOKENS, context=RequestContext()).logits
    model.close()
    assert difference(exported, plain) <= TOLERANCE["int8" if int8 else "float32"]
