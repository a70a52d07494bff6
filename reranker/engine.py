"""The engine: library, command line, server and benchmarks all rank through `Reranker`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from reranker.errors import InvalidRequest
from reranker.operations import RankOperation
from reranker.operations.embedding import (
    Embeddings,
    EmbedOperation,
    EmbedRequest,
    TokenizedTexts,
    TokenizeOperation,
    TokenizeRequest,
)
from reranker.pipeline import registry
from reranker.settings import Settings
from reranker.settings.open_pool import open_pool
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

    from reranker.hub.base import ModelPool
    from reranker.model_card import Role


class Reranker:
    """Ranks documents for a query by a named method.

    Models are loaded when first used, once, and shared by all threads.

    Args:
        settings: where models run and which may be loaded; by default from RERANKER_*
            variables and the file that RERANKER_CONFIG names.
        models: the models to use instead of the catalogue's; for tests and embedding.
        model_load_timeout: seconds that a call waits for a model to load; None waits as long as
            it takes.

    Raises:
        SettingsError: a setting cannot be used.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        models: ModelPool | None = None,
        *,
        model_load_timeout: float | None = None,
    ) -> None:
        self.settings = settings or Settings.load()
        self.models: ModelPool = models or open_pool(self.settings, model_load_timeout)

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
            query: the search query.
            documents: texts, or objects with the fields to rank on.
            method: "fast", "standard", "optimal", "best" or any registered name.
            model: bi-encoder id; the settings' default if None.
            model_cross: cross-encoder id. If None, methods that cannot do without one take the
                settings' default; `best` then does without.
            top_n: how many results to return, all if None.
            stage1_top_k: how many documents leave stage 1 of `optimal` and `best`.
            max_tokens_per_doc: a longer document is cut and marked.
            batch_size: the most documents per batch; `max_batch_tokens` bounds it as well.
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
        return self.rank_request(
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
                context=_context(timeout, batch_size),
            )
        )

    def rank_request(self, request: RerankRequest) -> Ranking:
        """Rank as the request says; `rank` with a request instead of arguments.

        Raises:
            RerankerError: see `reranker.errors` for the tree.
        """
        return self.rank_operation(request).run()

    def rank_operation(self, request: RerankRequest) -> RankOperation:
        """Resolve a request's method and models without running anything.

        Raises:
            UnknownMethod: the method is not registered.
            UnknownModel: a model is not in the catalogue.
            InvalidRequest: the method needs a cross-encoder and none is named.
        """
        if request.profile is None and self.settings.profile is not None:
            request = replace(request, profile=self.settings.profile)
        return RankOperation(request, self.models)

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
        request = EmbedRequest(
            tuple(texts), model or self.settings.model, kind, dimensions, _context(timeout)
        )
        return self.embed_request(request)

    def embed_request(self, request: EmbedRequest) -> Embeddings:
        """Embed as the request says; `embed` with a request instead of arguments."""
        return self.embed_operation(request).run()

    def embed_operation(self, request: EmbedRequest) -> EmbedOperation:
        """Resolve a request's model without running it; raises as `rank_operation` does."""
        return EmbedOperation(request, self.models)

    def tokenize(
        self,
        texts: Iterable[str],
        *,
        model: str | None = None,
        role: Role = "bi-encoder",
        special: bool = True,
    ) -> TokenizedTexts:
        """Return the tokens of texts as a model reads them; see `TokenizeRequest`.

        Raises:
            RerankerError: see `reranker.errors` for the tree.
        """
        if isinstance(texts, str):
            raise InvalidRequest("texts is a list of texts, not one string", param="texts")
        own = self.settings.model if role == "bi-encoder" else self.settings.model_cross
        return self.tokenize_request(TokenizeRequest(tuple(texts), model or own, role, special))

    def tokenize_request(self, request: TokenizeRequest) -> TokenizedTexts:
        """Tokenize as the request says; `tokenize` with a request instead of arguments."""
        return self.tokenize_operation(request).run()

    def tokenize_operation(self, request: TokenizeRequest) -> TokenizeOperation:
        """Resolve a request's model without running it; raises as `rank_operation` does."""
        return TokenizeOperation(request, self.models)

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
        """Stop the models' workers; calls that wait raise ModelUnavailable."""
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


def _context(timeout: float | None, batch_size: int | None = None) -> RequestContext:
    deadline = None if timeout is None else time.monotonic() + timeout
    return RequestContext(deadline, threading.Event(), batch_size)
