"""What a dialect is: how one API's body becomes work for the engine, and the outcome its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reranker_server.errors import Problem

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.operations import EmbedRequest, TokenizeRequest
    from reranker.types import RequestContext, RerankRequest
    from reranker_server.settings import ServerSettings

    Work = RerankRequest | EmbedRequest | TokenizeRequest


@dataclass(frozen=True, slots=True)
class Ask:
    """What a caller sent, and what reading it takes.

    Attributes:
        payload: the JSON object of the body.
        settings: limits, and what to do about unknown models.
        reranker: the engine, for its models and defaults; reading runs nothing on it.
        call: makes the engine's `RequestContext` from timeout_ms and batch_size.
        path: of the route, decoded.
        model: the id in the path, where the route has one.
        headers: of the request; names are found in any case.
    """

    payload: Mapping[str, Any]
    settings: ServerSettings
    reranker: Reranker
    call: Callable[[int | None, int | None], RequestContext]
    path: str = ""
    model: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A parsed body: work for the engine, one call for all of it, and how to answer.

    `render` gets the outcome of each piece of work, in order, and returns the JSON body.
    """

    work: tuple[Work, ...]
    render: Callable[[Sequence[Any]], Any]

    @property
    def call(self) -> RequestContext:
        """Return deadline and cancellation, which all the work shares."""
        return self.work[0].context


def plain(trouble: Problem) -> tuple[int, Any]:
    """Return status and body of an error as they are."""
    return trouble.status, trouble.body()


@dataclass(frozen=True, slots=True)
class Dialect:
    """One API's shapes.

    Attributes:
        name: for metrics and logs.
        parse: reads a body; raises InvalidRequest, UnknownModel or TooLarge.
        refuse: an error's status and body.
        claims: whether a body on a route that several dialects share is in this one.
        body: the type of what it takes, for the OpenAPI document; so are the next two.
        answer: the type of what it gives.
        error: the type of the body of an error, where it is not the usual one.
    """

    name: str
    parse: Callable[[Ask], Asked]
    refuse: Callable[[Problem], tuple[int, Any]] = plain
    claims: Callable[[Ask], bool] | None = None
    body: Any = None
    answer: Any = None
    error: Any = None


@dataclass(frozen=True, slots=True)
class Door:
    """The way into a route: `choose` finds the dialect once the body is read.

    Until then, and where a route has but one, `dialect` speaks.
    """

    dialect: Dialect
    choose: Callable[[Ask], Dialect] | None = None
