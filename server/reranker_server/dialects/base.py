"""What a dialect is: one API's paths and shapes, translated to the engine's operations and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reranker_server.errors import Problem

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.operations import Operation
    from reranker.types import RequestContext
    from reranker_server.settings import ServerSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IncomingRequest:
    """A request as it came in, and what parsing it needs.

    Attributes:
        payload: the JSON object of the body.
        settings: limits, and what to do about unknown models.
        engine: resolves methods and models; parsing runs no model.
        new_context: returns a `RequestContext` of timeout_ms and batch_size.
        path: of the URL, decoded.
        path_model: the model id in the path, where the route has one.
        headers: names are found in any case.
    """

    payload: Mapping[str, Any]
    settings: ServerSettings
    engine: Reranker
    new_context: Callable[[int | None, int | None], RequestContext]
    path: str = ""
    path_model: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """Operations that share one context, and how their results become the response's body.

    `render` gets the result of each operation, in order, and returns what JSON can hold.
    """

    operations: tuple[Operation, ...]
    render: Callable[[Sequence[Any]], Any]


def render_error(problem: Problem) -> tuple[int, Any]:
    """Return status and body of an error, unchanged."""
    return problem.status, problem.body()


@dataclass(frozen=True, slots=True)
class Dialect:
    """One API.

    Attributes:
        name: for metrics, logs and the OpenAPI document; lower case, digits and hyphens.
        parse: reads a request; raises InvalidRequest, UnknownModel or TooLarge.
        request: type of the body, for the OpenAPI document.
        response: type of the response's body, likewise.
        paths: routes on which this dialect alone is spoken.
        shared_paths: routes on which a body that no other dialect matches is in this one.
        matches: whether a request on a shared route is in this dialect; None: never.
        precedence: on a shared route dialects are tried from high to low, then by name.
        render_error: an error's status and body.
        error: type of the error's body, where it is not the usual one.
    """

    name: str
    parse: Callable[[IncomingRequest], ParsedRequest]
    request: Any
    response: Any
    paths: tuple[str, ...] = ()
    shared_paths: tuple[str, ...] = ()
    matches: Callable[[IncomingRequest], bool] | None = None
    precedence: int = 0
    render_error: Callable[[Problem], tuple[int, Any]] = render_error
    error: Any = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The dialects of one route.

    Attributes:
        dialect: spoken where no other matches, and until the body is known.
        others: dialects that share the route, in the order in which they are tried.
    """

    dialect: Dialect
    others: tuple[Dialect, ...] = ()

    def sniff_dialect(self, incoming: IncomingRequest) -> Dialect:
        """Return the dialect of a request."""
        return next((each for each in self.others if _matches(each, incoming)), self.dialect)


def _matches(dialect: Dialect, incoming: IncomingRequest) -> bool:
    try:
        return dialect.matches is not None and dialect.matches(incoming)
    except Exception as error:  # a plug-in's fault must not take the route from the others
        log.error("dialect %r cannot match requests: %s", dialect.name, type(error).__name__)
        return False
