"""Which models are served and how they run, in the shapes of OpenAI, TEI and Weaviate."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from reranker.errors import UnknownModel
from reranker.pipeline import registry
from reranker_server.dialects.resolve_model import split_method, unknown_model

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.hub.catalog import Catalog
    from reranker.model_card import ModelCard
    from reranker_server.settings import ServerSettings

_STARTED = int(time.time())


class RuntimeInfo(TypedDict):
    """Where and how a model runs; null for what only a loaded model knows."""

    state: str
    device: str | None
    dtype: str | None
    family: str | None
    backend: str | None
    attention: str | None
    packed_weights: bool | None
    window: int | None
    max_model_len: int | None
    max_batch_tokens: int | None
    concurrent_batches: int | None
    dimensions: int | None


class ModelInfo(RuntimeInfo):
    """A model that requests may name; `roles` maps each role to the weights that serve it."""

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


class ModelList(TypedDict):
    """All models."""

    object: str
    data: list[ModelInfo]


class TeiInfo(TypedDict):
    """The default cross-encoder, as TEI's `GET /info` describes its model."""

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


class ModelsEndpoint:
    """The models that requests may name.

    Args:
        engine: the engine.
        settings: its limits are listed with each model.
    """

    def __init__(self, engine: Reranker, settings: ServerSettings) -> None:
        self._engine = engine
        self._settings = settings

    @property
    def _catalog(self) -> Catalog:
        return self._engine.models.catalog

    def all(self) -> ModelList:
        """Return all models, as `GET /v1/models` lists them."""
        names = dict.fromkeys(name for name, _ in self._catalog.cards())
        return {"object": "list", "data": [self.one(name) for name in names]}

    def one(self, name: str) -> ModelInfo:
        """Return one model by its id or an alias.

        Raises:
            UnknownModel: there is none.
        """
        cards = self._find(split_method(name)[0])
        return {
            "id": name,
            "object": "model",
            "created": _STARTED,
            "owned_by": "reranker",
            "model_type": "rerank",
            "roles": {card.role: card.id for card in cards},
            "aliases": sorted({alias for card in cards for alias in card.aliases}),
            "license": cards[0].license,
            "languages": list(cards[0].languages),
            **self._runtime(cards),
            "limits": {
                "max_documents": self._settings.max_documents,
                "max_body_mb": self._settings.max_body_mb,
            },
        }

    def info(self) -> TeiInfo:
        """Return the body of TEI's `GET /info`."""
        own = self._engine.settings
        runtime = self._runtime(self._find(own.model_cross))
        window = runtime["window"]
        return {
            "model_id": own.model_cross,
            "model_sha": None,
            "model_dtype": runtime["dtype"],
            "served_model_name": own.model_cross,
            "model_type": {
                "reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}},
            },
            "max_concurrent_requests": self._settings.max_concurrent + self._settings.max_queue,
            "max_input_length": window,
            "max_batch_tokens": runtime["max_batch_tokens"],
            "max_batch_requests": None,
            "max_client_batch_size": self._settings.max_documents,
            "auto_truncate": True,
            "tokenization_workers": self._settings.max_concurrent,
            "version": version("reranker"),
            "sha": None,
            "docker_label": None,
        }

    def meta(self) -> dict[str, Any]:
        """Return the body of Weaviate's `GET /meta`."""
        own = self._engine.settings
        return {
            "model_id": own.model_cross,
            "bi_encoder": own.model,
            "methods": list(registry.names()),
        }

    def _find(self, name: str) -> list[ModelCard]:
        catalog = self._catalog
        try:
            return [catalog.find(role, name) for role in catalog.roles(name)]
        except UnknownModel as error:  # its message lists the ids of one role alone
            raise unknown_model(name, catalog.cards()) from error

    def _runtime(self, cards: list[ModelCard]) -> RuntimeInfo:
        models = self._engine.models
        loaded = {(each.role, each.id): each for each in models.loaded()}
        live = [loaded[card.role, card.id] for card in cards if (card.role, card.id) in loaded]
        one = live[0] if live else None
        windows: list[int | None] = [each.window for each in live] or [
            card.max_tokens for card in cards
        ]
        states = models.states()
        return {
            "state": next((states[card.id] for card in cards if card.id in states), "not loaded"),
            "device": one.device if one else None,
            "dtype": one.dtype if one else None,
            "family": one.family if one else None,
            "backend": one.backend if one else None,
            "attention": one.attn_implementation if one else None,
            "packed_weights": one.packed_weights if one else None,
            "window": windows[0],
            "max_model_len": windows[0],
            "max_batch_tokens": min((each.max_batch_tokens for each in live), default=None),
            "concurrent_batches": max((each.concurrent_batches for each in live), default=None),
            "dimensions": next((each.dimensions for each in live if each.dimensions), None),
        }
