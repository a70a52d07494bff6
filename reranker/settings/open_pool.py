"""Opens the pool of models that an engine's settings describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reranker.cache.tier import Store
    from reranker.hub.base import ModelPool
    from reranker.settings.engine import Settings


def open_pool(settings: Settings, load_timeout: float | None) -> ModelPool:
    """Return the models of the catalogue, none of them loaded yet.

    Args:
        settings: where models run, and which may be loaded.
        load_timeout: seconds that a call waits for a model to load; None waits as long as it
            takes.

    Raises:
        SettingsError: a setting cannot be used.
        MissingExtra: the shared cache needs a package that is not installed.
    """
    from reranker.backends.device import choose_device
    from reranker.hub.catalog import Catalog
    from reranker.hub.pool import LocalModelPool

    catalog = Catalog(
        {"bi-encoder": settings.bi_encoders, "cross-encoder": settings.cross_encoders},
        settings.models_on_request,
    )
    return LocalModelPool(
        catalog,
        lambda: choose_device(
            settings.device, settings.dtype, settings.backend, **settings.tuning.model_dump()
        ),
        offline=settings.offline,
        cache_bytes=settings.cache_mb << 20,
        load_timeout=load_timeout,
        store=_store(settings),
    )


def _store(settings: Settings) -> Store | None:
    if settings.cache_redis_url is None:
        return None
    from reranker.cache.redis import RedisStore

    return RedisStore(settings.cache_redis_url, settings.cache_redis_hours * 3600)
