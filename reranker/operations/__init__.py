"""Operations: requests with their ids resolved, which the engine runs and the server admits.

Ranking, embedding and tokenizing have one interface, so code that logs, charges or runs an
operation never asks which of them it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from reranker.errors import InferenceError, RerankerError
from reranker.pipeline import registry

if TYPE_CHECKING:
    from reranker.hub.base import ModelPool
    from reranker.model_card import ModelCard, Role
    from reranker.pipeline.registry import Method
    from reranker.types import Ranking, RequestContext, RerankRequest, Usage

LONGEST_WINDOW = 8192
"""Tokens of the longest text that any catalogued model reads whole."""

_CHARACTERS_PER_TOKEN = 4  # of English text; only admission and reservations go by it


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model that an operation runs: its role, the id and field of the request, and its card."""

    role: Role
    name: str
    param: str
    card: ModelCard


class OperationResult(Protocol):
    """What every operation reports beside its result."""

    @property
    def usage(self) -> Usage:
        """Tokens read, and results served from the cache."""

    @property
    def truncated(self) -> tuple[int, ...]:
        """Indices of the texts that were cut."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """Time of each stage, and "total"; empty where there are no stages."""


class Operation(Protocol):
    """A request with its method and models resolved."""

    @property
    def name(self) -> str:
        """The method's name, "embed" or "tokenize"; for logs, metrics and keys."""

    @property
    def context(self) -> RequestContext:
        """Deadline, cancellation and batch size."""

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The models it runs."""

    @property
    def document_count(self) -> int:
        """Candidates to rank."""

    @property
    def characters(self) -> int:
        """Length of all its texts."""

    @property
    def estimated_tokens(self) -> int:
        """About how many tokens it will read; for admission and reservations."""

    def run(self) -> OperationResult:
        """Do the work; `reranker.errors` lists what it raises."""


class RankOperation:
    """A ranking by one method.

    Args:
        request: what to rank.
        pool: the models.

    Raises:
        UnknownMethod: the method is not registered.
        InvalidRequest: the method needs a cross-encoder and none is named.
        UnknownModel: a model that the method runs is not in the catalogue.
    """

    def __init__(self, request: RerankRequest, pool: ModelPool) -> None:
        self.request = request
        self.method: Method = registry.get(request.method)
        self.method.check(request)
        self.models = _models_of(request, self.method, pool)
        self.name = self.method.name
        self.context = request.context
        self.document_count = len(request.documents)
        self._pool = pool

    @cached_property
    def characters(self) -> int:
        """Return the length of the query and of the documents."""
        return len(self.request.query) + sum(len(each.text) for each in self.request.documents)

    @cached_property
    def estimated_tokens(self) -> int:
        """Return about how many tokens will be read."""
        most = min(self.request.max_tokens_per_doc, LONGEST_WINDOW)
        read = sum(min(estimate(each.text), most) for each in self.request.documents)
        return estimate(self.request.query) + read

    def run(self) -> Ranking:
        """Rank.

        Raises:
            RerankerError: see `reranker.errors` for the tree.
        """
        try:
            return self.method.build(self.request, self._pool).run(self.request)
        except RerankerError:
            raise
        except Exception as error:
            # The text of a foreign exception may hold a document's: its type is enough to say.
            why = type(error).__name__
            raise InferenceError(f"method {self.name!r} failed: {why}") from error


def _models_of(request: RerankRequest, method: Method, pool: ModelPool) -> tuple[ModelUse, ...]:
    uses: list[tuple[Role, str, str]] = []
    if "bi-encoder" in method.roles:
        uses.append(("bi-encoder", request.model, "model"))
    if request.model_cross and ("cross-encoder" in method.roles or method.two_stage):
        uses.append(("cross-encoder", request.model_cross, "model_cross"))
    return tuple(use_of(pool, *use) for use in uses)


def use_of(pool: ModelPool, role: Role, name: str, param: str) -> ModelUse:
    """Look up a model.

    Raises:
        UnknownModel: it is not in the catalogue, or not for requests to load.
    """
    return ModelUse(role, name, param, pool.catalog.find(role, name))


def estimate(text: str | Sequence[int]) -> int:
    """Return about how many tokens a text has; ids are counted, with one special token."""
    return len(text) // _CHARACTERS_PER_TOKEN + 1 if isinstance(text, str) else len(text) + 1
