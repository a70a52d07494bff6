"""What the server says of itself and its models, as OpenAI, TEI, NIM and Weaviate ask for it."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from reranker.errors import UnknownModel
from reranker.pipeline import registry
from reranker_server.dialects.resolve_model import unknown

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.families.base import Role
    from reranker.hub.catalog import Catalog, ModelCard
    from reranker_server.settings import ServerSettings

_SINCE = int(time.time())


class Running(TypedDict):
    """Where and how a model runs; nulls for what only a loaded model knows."""

    state: str
    device: str | None
    dtype: str | None
    backend: str | None
    attention: str | None
    packed_weights: bool | None
    window: int | None
    max_model_len: int | None
    max_batch_tokens: int | None
    concurrent_batches: int | None
    dimensions: int | None


class Model(Running):
    """A model that requests may name; `roles` tells which weights serve it as what."""

    id: str
    object: str
    created: int
    owned_by: str
    model_type: str
    roles: dict[str, str]
    aliases: list[str]
    license: str
    languages: list[str]
    limits: dict[str, float]


class Models(TypedDict):
    """All of them."""

    object: str
    data: list[Model]


class Info(TypedDict):
    """The default model in the words of TEI's `GET /info`."""

    model_id: str
    model_sha: str | None
    model_dtype: str | None
    served_model_name: str
    model_type: dict[str, Any]
    max_concurrent_requests: int
    max_input_length: int | None
    max_batch_tokens: int | None
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None
    docker_label: str | None


class Listing:
    """The models that requests may name.

    Args:
        reranker: the engine.
        settings: its limits are told with each model.
    """

    def __init__(self, reranker: Reranker, settings: ServerSettings) -> None:
        self._reranker = reranker
        self._settings = settings

    @property
    def _catalog(self) -> Catalog | None:
        return getattr(self._reranker.models, "catalog", None)

    def all(self) -> Models:
        """Return all models, as `GET /v1/models` lists them."""
        names = dict.fromkeys(name for name, _ in self._cards())
        return {"object": "list", "data": [self.one(name) for name in names]}

    def one(self, name: str) -> Model:
        """Return one model by its id or an alias.

        Raises:
            UnknownModel: there is none.
        """
        plain, _, suffix = name.rpartition(":")
        wanted = plain if suffix in registry.names() else name
        cards = self._find(wanted)
        return {
            "id": name,
            "object": "model",
            "created": _SINCE,
            "owned_by": "reranker",
            "model_type": "rerank",
            "roles": {card.role: card.id for card in cards},
            "aliases": sorted({alias for card in cards for alias in card.aliases}),
            "license": cards[0].license,
            "languages": list(cards[0].languages),
            **self._running(cards),
            "limits": {
                "max_documents": self._settings.max_documents,
                "max_body_mb": self._settings.max_body_mb,
            },
        }

    def info(self) -> Info:
        """Return what TEI's `GET /info` tells."""
        own = self._reranker.settings
        running = self._running(self._find(own.model_cross))
        window = running["window"]
        return {
            "model_id": own.model_cross,
            "model_sha": None,
            "model_dtype": running["dtype"],
            "served_model_name": own.model_cross,
            "model_type": {
                "reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}},
            },
            "max_concurrent_requests": self._settings.max_concurrent + self._settings.max_queue,
            "max_input_length": window,
            "max_batch_tokens": running["max_batch_tokens"],
            "max_batch_requests": None,
            "max_client_batch_size": self._settings.max_documents,
            "auto_truncate": True,
            "tokenization_workers": self._settings.max_concurrent,
            "version": version("reranker"),
            "sha": None,
            "docker_label": None,
        }

    def meta(self) -> dict[str, Any]:
        """Return what Weaviate's `GET /meta` tells."""
        own = self._reranker.settings
        return {
            "model_id": own.model_cross,
            "bi_encoder": own.model,
            "methods": list(registry.names()),
        }

    def _cards(self) -> tuple[tuple[str, ModelCard], ...]:
        if self._catalog is not None:
            return self._catalog.cards()
        from reranker.hub.catalog import ModelCard

        own = self._reranker.settings
        return (
            (own.model, ModelCard(own.model, "bi-encoder")),
            (own.model_cross, ModelCard(own.model_cross, "cross-encoder")),
        )

    def _find(self, name: str) -> list[ModelCard]:
        if self._catalog is not None:
            catalog = self._catalog
            try:
                return [catalog.find(role, name) for role in catalog.roles(name)]
            except UnknownModel as error:  # it tells the ids of one role alone
                raise unknown(name, catalog.cards()) from error
        found = [card for known, card in self._cards() if known == name]
        if not found:
            raise unknown(name, self._cards())
        return found

    def _running(self, cards: list[ModelCard]) -> Running:
        models = self._reranker.models
        loaded: dict[tuple[Role, str], Any] = {}
        for each in getattr(models, "loaded", tuple)():
            role: Role = "bi-encoder" if hasattr(each, "dimension") else "cross-encoder"
            loaded[role, each.name] = each
        live = [loaded[card.role, card.id] for card in cards if (card.role, card.id) in loaded]
        hardware = getattr(models, "hardware", None) if live else None
        ways = getattr(live[0], "ways", None) if live else None
        windows = [each.window for each in live] or [card.max_tokens for card in cards]
        vectors = [each.dimension for each in live if hasattr(each, "dimension")]
        states: dict[str, str] = getattr(models, "states", dict)()
        return {
            "state": next((states[card.id] for card in cards if card.id in states), "not loaded"),
            "device": getattr(hardware, "device", None),
            "dtype": getattr(hardware, "dtype", None),
            "backend": getattr(ways, "backend", None),
            "attention": getattr(ways, "attention", None),
            "packed_weights": getattr(ways, "packed", None),
            "window": windows[0],
            "max_model_len": windows[0],
            "max_batch_tokens": min((each.runner.token_budget for each in live), default=None),
            "concurrent_batches": max((each.runner.lanes for each in live), default=None),
            "dimensions": vectors[0] if vectors else None,
        }
