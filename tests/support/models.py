"""Load a checkpoint folder the way the engine does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from reranker.backends.device import Hardware
from reranker.families.bi_encoder import SentenceBiEncoder
from reranker.families.cross_encoder import PairCrossEncoder
from reranker.families.loading import load_bi_encoder, load_cross_encoder
from reranker.hub.catalog import ModelCard
from reranker.hub.files import locate

FLOAT32 = Hardware(device="cpu", dtype="float32", threads=2, token_budget=512)

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)
"""Asks torch and not our code, so that packing that stopped working fails and is not skipped."""


def bi_encoder(
    folder: Path, hardware: Hardware = FLOAT32, cache_bytes: int = 0, **card: Any
) -> SentenceBiEncoder:
    made = ModelCard(folder.name, "bi-encoder", path=folder, **card)
    return load_bi_encoder(made, locate(made, offline=True), hardware, cache_bytes)


def cross_encoder(
    folder: Path, hardware: Hardware = FLOAT32, cache_bytes: int = 0, **card: Any
) -> PairCrossEncoder:
    made = ModelCard(folder.name, "cross-encoder", path=folder, **card)
    return load_cross_encoder(made, locate(made, offline=True), hardware, cache_bytes)
