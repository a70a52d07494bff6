"""The one front door: library, command line, server and benchmarks all rank through here."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from reranker import operations
from reranker.errors import InferenceError, InvalidRequest, RerankerError
from reranker.operations import Embeddings, EmbedRequest, TokenizeRequest
from reranker.pipeline import registry
from reranker.settings import Settings
from reranker.types import (
    DEFAULT_MAX_TOKENS_PER_DOC,
    DEFAULT_METHOD,
    DEFAULT_RANK_FIELDS,
    DEFAULT_STAGE1_TOP_K,
    Document,
    Ranking,
    RequestContext,
    RerankRequest,
)

if TYPE_CHECKING:
    from types import TracebackType

    from reranker.cache.tier import Store
    from reranker.families.base import Role
    from reranker.hub.base import ModelPool
    from reranker.tokenization.tokenizer import Piece


class Reranker:
    """Ranks documents for a query by a named method.

    Models are loaded when first used, once, and shared by all threads.

    Args:
        settings: where models run and which may be loaded; by default from RERANKER_*
            variables and the file that RERANKER_CONFIG names.
        models: the models to use instead of the catalogue's; for tests and embedding.
        load_timeout: seconds that a request waits for a model's load; None: as long as it takes.

    Raises:
        SettingsError: a setting cannot be used.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        models: ModelPool | None = None,
        *,
        load_timeout: float | None = None,
    ) -> None:
        self.settings = settings or Settings.load()
        self.models: ModelPool = models or _local_pool(self.settings, load_timeout)

    def rank(
        self,
        query: str,
        documents: Iterable[str | Mapping[str, Any] | Document],
        *,
        method: str = DEFAULT_METHOD,
        model: str | None = None,
        model_cross: str | None = None,
        top_n: int | None = None,
        stage1_top_k: int = DEFAULT_STAGE1_TOP_K,
        max_tokens_per_doc: int = DEFAULT_MAX_TOKENS_PER_DOC,
        batch_size: int | None = None,
        rank_fields: Sequence[str] = DEFAULT_RANK_FIELDS,
        score_threshold: float | None = None,
        explain: bool = False,
        timeout: float | None = None,
    ) -> Ranking:
        """Rank documents for a query.

        Args:
            query: what is looked for.
            documents: texts, or objects with the fields to rank on.
            method: "fast", "standard", "optimal", "best" or any registered name.
            model: bi-encoder id; the settings' default if None.
            model_cross: cross-encoder id. If None, methods that cannot do without one take the
                settings' default; `best` then does without.
            top_n: how many results to return, all if None.
            stage1_top_k: how many documents leave stage 1 of `optimal` and `best`.
            max_tokens_per_doc: a longer document is cut and marked.
            batch_size: the most documents in one run of a model; the token budget bounds it too.
            rank_fields: the fields of an object that make its text.
            score_threshold: results below it are left out; inclusive.
            explain: whether `best` also returns the best-matching spans.
            timeout: seconds until the work is dropped.

        Raises:
            RerankerError: see `reranker.errors` for the tree.
        """
        if isinstance(documents, (str, Mapping)) or not isinstance(documents, Iterable):
            raise InvalidRequest("documents is a list of documents, not one", param="documents")
        if isinstance(rank_fields, str):
            raise InvalidRequest(
                "rank_fields is a list of names, not one string", param="rank_fields"
            )
        if "cross-encoder" in registry.get(method).roles:
            model_cross = model_cross or self.settings.model_cross
        deadline = None if timeout is None else time.monotonic() + timeout
        return self.run(
            RerankRequest(
                query=query,
                documents=tuple(Document.of(document, rank_fields) for document in documents),
                model=model or self.settings.model,
                method=method,
                model_cross=model_cross,
                top_n=top_n,
                stage1_top_k=stage1_top_k,
                max_tokens_per_doc=max_tokens_per_doc,
                score_threshold=score_threshold,
                explain=explain,
                context=RequestContext(deadline, threading.Event(), batch_size),
            )
        )

    def run(self, request: RerankRequest) -> Ranking:
        """Rank as the request says, filling in nothing.

        Raises:
            RerankerError: see `reranker.errors` for the tree.
        """
        method = registry.get(request.method)
        method.check(request)
        if request.profile is None and self.settings.profile is not None:
            request = replace(request, profile=self.settings.profile)
        try:
            return method.build(request, self.models).run(request)
        except RerankerError:
            raise
        except Exception as error:
            raise InferenceError(f"method {request.method!r} failed") from error

    def embed(
        self,
        texts: Iterable[str],
        *,
        model: str | None = None,
        kind: Literal["query", "document"] = "document",
        dimensions: int | None = None,
        timeout: float | None = None,
    ) -> Embeddings:
        """Return one vector of unit length per text; see `EmbedRequest` for the arguments.

        Raises:
            RerankerError: see `reranker.errors` for the tree.
        """
        if isinstance(texts, str):
            raise InvalidRequest("texts is a list of texts, not one string", param="texts")
        deadline = None if timeout is None else time.monotonic() + timeout
        chosen = model or self.settings.model
        return self.encode(
            EmbedRequest(tuple(texts), chosen, kind, dimensions, RequestContext(deadline))
        )

    def encode(self, request: EmbedRequest) -> Embeddings:
        """Return vectors as the request says, filling in nothing; see `embed`."""
        return operations.embed(request, self.models)

    def tokenize(self, request: TokenizeRequest) -> tuple[tuple[Piece, ...], ...]:
        """Return the tokens of texts as a model reads them."""
        return operations.tokenize(request, self.models)

    def warm(self, models: Iterable[tuple[Role, str]] | None = None) -> None:
        """Load models and run each once; by default the settings' pair.

        Raises:
            UnknownModel: there is no such model.
            ModelUnavailable: one could not be loaded.
        """
        pair: tuple[tuple[Role, str], ...] = (
            ("bi-encoder", self.settings.model),
            ("cross-encoder", self.settings.model_cross),
        )
        self.models.warm(pair if models is None else models)

    def close(self) -> None:
        """Stop the models' workers; calls that wait are told so."""
        self.models.close()

    def __enter__(self) -> Reranker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _local_pool(settings: Settings, load_timeout: float | None) -> ModelPool:
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
