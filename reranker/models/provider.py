"""An id becomes a loaded model: lazily, once, one load at a time per model."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from reranker.errors import RerankerError
from reranker.models import sources
from reranker.models.catalog import Catalog, ModelCard
from reranker.models.roles import BiEncoder, CrossEncoder, Role

if TYPE_CHECKING:
    from reranker.models.bi_encoder import SentenceBiEncoder
    from reranker.models.cross_encoder import PairCrossEncoder
    from reranker.models.hardware import Hardware

    Loaded = SentenceBiEncoder | PairCrossEncoder

State = Literal["not loaded", "loading", "ready", "failed"]
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Slot:
    """The place of one model: its card, its lock, and the model once it is loaded."""

    card: ModelCard
    lock: threading.Lock = field(default_factory=threading.Lock)
    model: Loaded | None = None
    state: State = "not loaded"


class Provider:
    """The models of one engine; see `Models`.

    Args:
        catalog: which ids there are.
        choose_hardware: says where models run; called when the first is loaded, as it needs torch.
        offline: never reach for the network.
        cache_bytes: the most memory a model may keep results in.
    """

    def __init__(
        self,
        catalog: Catalog,
        choose_hardware: Callable[[], Hardware],
        *,
        offline: bool = False,
        cache_bytes: int = 0,
    ) -> None:
        self.catalog = catalog
        self._choose_hardware = choose_hardware
        self._hardware: Hardware | None = None
        self._offline = offline
        self._cache_bytes = cache_bytes
        self._slots: dict[tuple[Role, ModelCard], _Slot] = {}
        self._lock = threading.Lock()

    def bi(self, model: str) -> BiEncoder:
        """Return the bi-encoder that the id stands for; see `Models.bi`."""
        return self._get("bi-encoder", model)  # type: ignore[return-value]

    def cross(self, model: str) -> CrossEncoder:
        """Return the cross-encoder that the id stands for; see `Models.cross`."""
        return self._get("cross-encoder", model)  # type: ignore[return-value]

    def states(self) -> dict[str, State]:
        """Return the state of each model that was asked for, "role/id" -> state."""
        with self._lock:
            slots = list(self._slots.items())
        return {
            f"{role}/{card.id}": "failed"
            if slot.model and not slot.model.runner.alive
            else slot.state
            for (role, card), slot in slots
        }

    def loaded(self) -> tuple[Loaded, ...]:
        """Return the models that are loaded."""
        with self._lock:
            return tuple(slot.model for slot in self._slots.values() if slot.model is not None)

    @property
    def hardware(self) -> Hardware:
        """Return where models run, chosen when first asked for."""
        with self._lock:
            if self._hardware is None:
                self._hardware = self._choose_hardware()
            return self._hardware

    def close(self) -> None:
        """Stop all workers."""
        for model in self.loaded():
            model.close()

    def _get(self, role: Role, model: str) -> Loaded:
        card = self.catalog.find(role, model)
        hardware = self.hardware
        with self._lock:
            slot = self._slots.setdefault((role, card), _Slot(card))
        with slot.lock:  # whoever comes second waits for the first one's load
            if slot.model is None:
                slot.state = "loading"
                try:
                    slot.model = self._load(card, hardware)
                except RerankerError:
                    slot.state = "failed"
                    raise
                slot.state = "ready"
            return slot.model

    def _load(self, card: ModelCard, hardware: Hardware) -> Loaded:
        start = time.perf_counter()
        source_card = card
        if card.base is not None:
            source_card = self.catalog.find("bi-encoder", card.base)
        source = sources.locate(source_card, offline=self._offline)
        import torch

        from reranker.models import loading

        torch.set_num_threads(hardware.threads)
        model: Loaded
        if card.overlay is not None:
            model = loading.load_overlay(card, source, hardware, self._cache_bytes)
        elif card.role == "bi-encoder":
            model = loading.load_bi_encoder(card, source, hardware, self._cache_bytes)
        else:
            model = loading.load_cross_encoder(card, source, hardware, self._cache_bytes)
        log.info(
            "model %s (%s) loaded in %.1f s on %s, %s, %d threads",
            card.id,
            card.role,
            time.perf_counter() - start,
            hardware.device,
            hardware.dtype,
            hardware.threads,
        )
        return model
