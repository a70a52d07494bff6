"""The embedded cross-encoder reads pairs in the engine as it read them in training."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from support.texts import LONG, ODD, PLAIN

from reranker import Reranker
from reranker.models.catalog import DEFAULT_CROSS_ENCODER
from reranker.settings import Settings
from reranker.types import Call
from reranker_bench.training.base import base_tokenizer
from reranker_bench.training.batches import chunked
from reranker_bench.training.export import read_overlay

FOLDER = Path(str(files("reranker.models") / "embedded" / DEFAULT_CROSS_ENCODER))
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
        model = engine.models.cross(DEFAULT_CROSS_ENCODER)
        scored = model.score(QUERY, DOCUMENTS, max_tokens=TOKENS, call=Call())
    assert scored.logits == pytest.approx(wanted, abs=1e-3)
