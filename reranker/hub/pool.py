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
from reranker.hub import files
from reranker.hub.base import ModelStatus, State
from reranker.hub.catalog import Catalog
from reranker.model_card import ModelCard, Role

if TYPE_CHECKING:
    from reranker.backends.device import DeviceConfig
    from reranker.cache.tier import Store
    from reranker.families.roles import BiEncoder, CrossEncoder
    from reranker.runtime.roles import ServedBiEncoder, ServedCrossEncoder

    Served = ServedBiEncoder | ServedCrossEncoder

log = logging.getLogger(__name__)

_RETRY_SECONDS = 30.0  # after a failed load, where callers do not wait for the end of one


class LocalModelPool:
    """The models of one engine, loaded into this process; see `ModelPool`.

    Args:
        catalog: which ids there are.
        choose_device: tells where models run; called when the first is loaded, as it needs torch.
        offline: never reach for the network.
        cache_bytes: the most memory a model may keep results in.
        load_timeout: seconds to wait for a model that is being loaded, perhaps downloaded; None is
            as long as it takes. The load goes on when nobody waits any more.
        store: where results are kept for other processes, too.
    """

    def __init__(
        self,
        catalog: Catalog,
        choose_device: Callable[[], DeviceConfig],
        *,
        offline: bool = False,
        cache_bytes: int = 0,
        load_timeout: float | None = None,
        store: Store | None = None,
    ) -> None:
        self.catalog = catalog
        self._choose_device = choose_device
        self._config: DeviceConfig | None = None
        self._offline = offline
        self._cache_bytes = cache_bytes
        self._load_timeout = load_timeout
        self._store = store
        self._loads: dict[ModelCard, Future[Served]] = {}
        self._retry_at: dict[ModelCard, float] = {}  # by time.monotonic, of those that failed
        self._closed = False
        self._lock = threading.Lock()
        self._config_lock = threading.Lock()

    def bi_encoder(self, model: str) -> BiEncoder:
        """Return the bi-encoder that the id stands for; see `ModelPool.bi_encoder`."""
        return self._get("bi-encoder", model)  # type: ignore[return-value]

    def cross_encoder(self, model: str) -> CrossEncoder:
        """Return the cross-encoder that the id stands for; see `ModelPool.cross_encoder`."""
        return self._get("cross-encoder", model)  # type: ignore[return-value]

    def warm(self, models: Iterable[tuple[Role, str]]) -> None:
        """Load models, however long it takes, and run each once, so that no request pays for it.

        Each is also measured then, where settings leave something open.
        """
        for role, name in models:
            model = self._load_once(self.catalog.find(role, name)).result()
            start = time.perf_counter()
            tuned = model.warm()
            how = f"; it runs on {tuned}" if tuned is not None else ""
            seconds = time.perf_counter() - start
            log.info("model %s is warm after %.1f s%s", model.name, seconds, how)

    def states(self) -> dict[str, State]:
        """Return the state of each model that was asked for, by id."""
        with self._lock:
            loads = dict(self._loads)
        return {card.id: _state(load) for card, load in loads.items()}

    def loaded(self) -> tuple[ModelStatus, ...]:
        """Return the models that are loaded, as they are at present."""
        return tuple(_status(model) for model in self._served())

    @property
    def device(self) -> str:
        """Where models run, as torch names it."""
        return self.config.device

    @property
    def config(self) -> DeviceConfig:
        """Where and how models run, chosen when first asked for."""
        with self._config_lock:  # not the other one: choosing imports torch, which takes long
            if self._config is None:
                self._config = self._choose_device()
            return self._config

    def close(self) -> None:
        """Stop all workers; what asks for a model from now on raises ModelUnavailable."""
        with self._lock:
            self._closed = True
        for model in self._served():
            model.close()
        if self._store is not None:
            self._store.close()

    def _served(self) -> tuple[Served, ...]:
        with self._lock:
            loads = list(self._loads.values())
        return tuple(load.result() for load in loads if load.done() and load.exception() is None)

    def _get(self, role: Role, model: str) -> Served:
        card = self.catalog.find(role, model)
        try:
            return self._load_once(card).result(self._load_timeout)
        except TimeoutError as error:
            raise ModelUnavailable(f"model {card.id!r} is being loaded; try again soon") from error

    def _load_once(self, card: ModelCard) -> Future[Served]:
        """Return the one load of a model, begun if there is none yet or the last one failed.

        One that failed stands for a while where callers do not wait for its end: or each would
        begin another, and none ever hear why.
        """
        with self._lock:
            if self._closed:
                raise ModelUnavailable(f"model {card.id!r} is shutting down")
            load = self._loads.get(card)
            failed = load is not None and load.done() and load.exception() is not None
            if load is None or (failed and time.monotonic() >= self._retry_at[card]):
                load = self._loads[card] = Future()
                # A thread of its own: the load outlives a caller that waits no longer.
                threading.Thread(
                    target=self._run_load, args=(card, load), name=f"load {card.id}", daemon=True
                ).start()
            return load

    def _run_load(self, card: ModelCard, load: Future[Served]) -> None:
        try:
            load.set_result(self._load(card))
        except BaseException as error:
            self._retry_at[card] = time.monotonic()
            if self._load_timeout is not None:
                self._retry_at[card] += _RETRY_SECONDS
                why = error.for_operator() if isinstance(error, RerankerError) else repr(error)
                log.error("model %s cannot be loaded: %s", card.id, why)
            load.set_exception(error)

    def _load(self, card: ModelCard) -> Served:
        start = time.perf_counter()
        base = self.catalog.base_of(card)
        checkpoint = files.locate(card, offline=self._offline, base=base)
        config = self.config
        if card.backend is not None:  # int8 is the openvino backend's alone
            int8 = config.int8 and card.backend == "openvino"
            config = replace(config, backend=card.backend, int8=int8)
        from reranker.families.registry import family_of
        from reranker.runtime.roles import ServedBiEncoder, ServedCrossEncoder

        family = family_of(checkpoint)
        serve = ServedBiEncoder if family.role == "bi-encoder" else ServedCrossEncoder
        try:
            model: Served = serve(
                card.id,
                family.name,
                family.load(checkpoint, config),
                checkpoint.digest,
                config,
                self._cache_bytes,
                self._store,
            )
        except RerankerError:
            raise
        except Exception as error:  # a family of another package may raise anything at all
            raise ModelUnavailable(
                f"model {card.id!r} cannot be loaded: its model family {family.name!r} failed",
                detail=" ".join(f"{type(error).__name__}: {error}".split()),
            ) from error
        log.info(
            "model %s (%s) loaded in %.1f s on %s, %s, %d threads",
            card.id,
            family.name,
            time.perf_counter() - start,
            config.device,
            config.dtype,
            config.threads,
        )
        return model


def _state(load: Future[Served]) -> State:
    if not load.done():
        return "loading"
    if load.exception() is not None:
        return "failed"
    return "ready" if load.result().scheduler.alive else "restarting"


def _status(model: Served) -> ModelStatus:
    variants, scheduler = model.variants, model.scheduler
    return ModelStatus(
        id=model.name,
        role=model.role,
        family=model.family,
        device=model.config.device,
        dtype=model.config.dtype,
        backend=variants.backend,
        attn_implementation=variants.attention,
        packed_weights=variants.packed,
        window=model.window,
        dimensions=model.model.dimensions,
        max_batch_tokens=scheduler.config.max_batch_tokens,
        concurrent_batches=scheduler.config.concurrent_batches,
        weight_bytes=model.weight_bytes,
        scheduler=scheduler.stats,
        cache=model.cache.stats,
    )
