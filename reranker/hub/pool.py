"""An id becomes a loaded model: lazily, once, one load at a time per model."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from reranker.errors import ModelUnavailable, RerankerError
from reranker.families.base import BiEncoder, CrossEncoder, Role
from reranker.hub import files as sources
from reranker.hub.base import ModelStatus, State
from reranker.hub.catalog import Catalog, ModelCard

if TYPE_CHECKING:
    from reranker.backends.device import Hardware
    from reranker.cache.tier import Store
    from reranker.families.bi_encoder import SentenceBiEncoder
    from reranker.families.cross_encoder import PairCrossEncoder

    Loaded = SentenceBiEncoder | PairCrossEncoder

log = logging.getLogger(__name__)

_RETRY_SECONDS = 30.0  # after a failed load, where callers do not wait for the end of one


class LocalModelPool:
    """The models of one engine; see `ModelPool`.

    Args:
        catalog: which ids there are.
        choose_hardware: says where models run; called when the first is loaded, as it needs torch.
        offline: never reach for the network.
        cache_bytes: the most memory a model may keep results in.
        patience: seconds to wait for a model that is being loaded, perhaps downloaded; None is
            as long as it takes. The load goes on when nobody waits any more.
        store: where results are kept for other processes, too.
    """

    def __init__(
        self,
        catalog: Catalog,
        choose_hardware: Callable[[], Hardware],
        *,
        offline: bool = False,
        cache_bytes: int = 0,
        patience: float | None = None,
        store: Store | None = None,
    ) -> None:
        self.catalog = catalog
        self._choose_hardware = choose_hardware
        self._hardware: Hardware | None = None
        self._offline = offline
        self._cache_bytes = cache_bytes
        self._patience = patience
        self._store = store
        self._loads: dict[ModelCard, Future[Loaded]] = {}
        self._retry_at: dict[ModelCard, float] = {}  # by time.monotonic, of those that failed
        self._lock = threading.Lock()
        self._hardware_lock = threading.Lock()

    def bi_encoder(self, model: str) -> BiEncoder:
        """Return the bi-encoder that the id stands for; see `ModelPool.bi_encoder`."""
        return self._get("bi-encoder", model)  # type: ignore[return-value]

    def cross_encoder(self, model: str) -> CrossEncoder:
        """Return the cross-encoder that the id stands for; see `ModelPool.cross_encoder`."""
        return self._get("cross-encoder", model)  # type: ignore[return-value]

    def warm(self, models: Iterable[tuple[Role, str]]) -> None:
        """Load models, however long it takes, and run each once, so that no request pays for it.

        Each is also measured then, where the hardware's choice left something to be measured.
        """
        for role, name in models:
            card = self.catalog.find(role, name)
            model = self._load_once(card).result()
            start = time.perf_counter()
            model.warm()
            log.info("model %s is warm after %.2f s", model.name, time.perf_counter() - start)
            hardware = self._hardware_for(card)
            if hardware.measure:
                from reranker.backends.autotune import tune
                from reranker.backends.base import offer_exports

                if hardware.backend == "auto":
                    offer_exports(model, hardware)
                tuned = tune(model, hardware.dtype, hardware.budgets)
                log.info("model %s runs on %s", model.name, tuned)

    def states(self) -> dict[str, State]:
        """Return the state of each model that was asked for, by id."""
        with self._lock:
            loads = dict(self._loads)
        return {card.id: _state(load) for card, load in loads.items()}

    def loaded(self) -> tuple[ModelStatus, ...]:
        """Return the models that are loaded, as they are at present."""
        return tuple(self._status(model) for model in self._loaded())

    @property
    def device(self) -> str:
        """Return where models run, as torch names it."""
        return self.hardware.device

    def _status(self, model: Loaded) -> ModelStatus:
        embeds = hasattr(model, "dimension")
        return ModelStatus(
            id=model.name,
            role="bi-encoder" if embeds else "cross-encoder",
            family="bi-encoder" if embeds else "cross-encoder",
            device=self.hardware.device,
            dtype=self.hardware.dtype,
            backend=model.ways.backend,
            attn_implementation=model.ways.attention,
            packed_weights=model.ways.packed,
            window=model.window,
            dimensions=getattr(model, "dimension", None),
            max_batch_tokens=model.runner.token_budget,
            concurrent_batches=model.runner.lanes,
            weight_bytes=model.weight_bytes,
            scheduler=model.runner.stats,
            cache=model.cache.stats,
        )

    def _loaded(self) -> tuple[Loaded, ...]:
        with self._lock:
            loads = list(self._loads.values())
        return tuple(load.result() for load in loads if load.done() and load.exception() is None)

    @property
    def hardware(self) -> Hardware:
        """Return where models run, chosen when first asked for."""
        with self._hardware_lock:  # not the other one: choosing imports torch, which takes long
            if self._hardware is None:
                self._hardware = self._choose_hardware()
            return self._hardware

    def close(self) -> None:
        """Stop all workers."""
        for model in self._loaded():
            model.close()
        if self._store is not None:
            self._store.close()

    def _hardware_for(self, card: ModelCard) -> Hardware:
        backend = card.backend or self.hardware.backend
        return replace(self.hardware, backend=backend)

    def _get(self, role: Role, model: str) -> Loaded:
        card = self.catalog.find(role, model)
        try:
            return self._load_once(card).result(self._patience)
        except TimeoutError as error:
            raise ModelUnavailable(f"model {card.id!r} is being loaded; try again soon") from error

    def _load_once(self, card: ModelCard) -> Future[Loaded]:
        """Return the one load of a model, begun if there is none yet or the last one failed.

        One that failed stands for a while where callers do not wait for its end: or each would
        begin another, and none ever hear why.
        """
        with self._lock:
            load = self._loads.get(card)
            failed = load is not None and load.done() and load.exception() is not None
            if load is None or (failed and time.monotonic() >= self._retry_at[card]):
                load = self._loads[card] = Future()
                # A thread of its own: the load outlives a caller that waits no longer.
                threading.Thread(
                    target=self._run_load, args=(card, load), name=f"load {card.id}", daemon=True
                ).start()
            return load

    def _run_load(self, card: ModelCard, load: Future[Loaded]) -> None:
        try:
            load.set_result(self._load(card))
        except BaseException as error:
            self._retry_at[card] = time.monotonic()
            if self._patience is not None:
                self._retry_at[card] += _RETRY_SECONDS
                why = error.for_operator() if isinstance(error, RerankerError) else repr(error)
                log.error("model %s cannot be loaded: %s", card.id, why)
            load.set_exception(error)

    def _load(self, card: ModelCard) -> Loaded:
        start = time.perf_counter()
        source = sources.locate(self.catalog.base_of(card), offline=self._offline)
        hardware = self._hardware_for(card)
        from reranker.backends.base import offer_exports, prepack_weights
        from reranker.families import loading
        from reranker.scheduling.workers import default_workers, intra_op_threads

        intra_op_threads(hardware).use(hardware.threads)
        model: Loaded
        if card.overlay is not None:
            model = loading.load_overlay(card, source, hardware, self._cache_bytes)
        elif card.role == "bi-encoder":
            model = loading.load_bi_encoder(card, source, hardware, self._cache_bytes)
        else:
            model = loading.load_cross_encoder(card, source, hardware, self._cache_bytes)
        if hardware.backend == "openvino":
            offer_exports(model, hardware)
        if self._store is not None:
            model.share(self._store)  # before packing: it tells networks apart as they are plain
        prepack_weights(model, hardware.dtype)
        model.runner.lanes = default_workers(model.runner.threads, model.ways)
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


def _state(load: Future[Loaded]) -> State:
    if not load.done():
        return "loading"
    if load.exception() is not None:
        return "failed"
    return "ready" if load.result().runner.alive else "restarting"
