"""Load a checkpoint folder the way the engine does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from reranker.backends.device import DeviceConfig
from reranker.cache.tier import Store
from reranker.families.registry import family_of
from reranker.hub.catalog import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER, Catalog
from reranker.hub.files import locate
from reranker.model_card import ModelCard
from reranker.runtime.roles import ServedBiEncoder, ServedCrossEncoder

FLOAT32 = DeviceConfig(device="cpu", dtype="float32", threads=2, max_batch_tokens=512)

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN"
)
"""Asks torch and not our code, so that packing that stopped working fails and is not skipped."""


def bi_encoder(
    folder: Path,
    config: DeviceConfig = FLOAT32,
    cache_bytes: int = 0,
    store: Store | None = None,
    **card: Any,
) -> ServedBiEncoder:
    made = ModelCard(folder.name, "bi-encoder", path=folder, **card)
    return ServedBiEncoder(folder.name, *loaded(made, config), config, cache_bytes, store)


def cross_encoder(
    folder: Path,
    config: DeviceConfig = FLOAT32,
    cache_bytes: int = 0,
    store: Store | None = None,
    **card: Any,
) -> ServedCrossEncoder:
    made = ModelCard(folder.name, "cross-encoder", path=folder, **card)
    return ServedCrossEncoder(folder.name, *loaded(made, config), config, cache_bytes, store)


def embedded_bi_encoder(config: DeviceConfig = FLOAT32) -> ServedBiEncoder:
    card = Catalog().find("bi-encoder", DEFAULT_BI_ENCODER)
    return ServedBiEncoder(card.id, *loaded(card, config), config)


def embedded_cross_encoder(config: DeviceConfig = FLOAT32) -> ServedCrossEncoder:
    card = Catalog().find("cross-encoder", DEFAULT_CROSS_ENCODER)
    return ServedCrossEncoder(card.id, *loaded(card, config), config)


def loaded(card: ModelCard, config: DeviceConfig) -> tuple[str, Any, str]:
    """Return the family of a card's checkpoint, the model as it loads it, and the digest."""
    checkpoint = locate(card, offline=True, base=Catalog().base_of(card))
    family = family_of(checkpoint)
    return family.name, family.load(checkpoint, config), checkpoint.digest
