"""JSON responses, those of errors among them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from reranker.errors import Cancelled, PluginError, RerankerError
from reranker_server.dialects.base import render_error as as_it_is
from reranker_server.errors import Problem, problem_of
from reranker_server.http.body import to_json

log = logging.getLogger(__name__)


def json_response(payload: Any) -> Response:
    """Return a response with a JSON body."""
    return Response(to_json(payload), media_type="application/json")


def problem_response(
    problem: Problem, render_error: Callable[[Problem], tuple[int, Any]] = as_it_is
) -> Response:
    """Return the response of an error in a dialect's shape."""
    status, body = render_error(problem)
    return Response(to_json(body), status, problem.headers, media_type="application/json")


def error_response(
    error: Exception,
    render_error: Callable[[Problem], tuple[int, Any]] = as_it_is,
    *,
    part: str = "the server",
) -> Response:
    """Return the response of an exception, and log what only the operator should read.

    Args:
        error: the exception.
        render_error: puts it into a dialect's shape.
        part: what the log names where the error is not one of ours.
    """
    problem = problem_of(error)
    if problem.status >= 500 and not isinstance(error, Cancelled):
        unexpected = f"{part} failed: {type(error).__name__}"
        detail = error.for_operator() if isinstance(error, RerankerError) else unexpected
        ours = problem.type == "server_error"  # the rest is a matter of load or configuration
        traced = ours and not isinstance(error, PluginError)  # that one's line says all
        log.log(
            logging.ERROR if ours else logging.WARNING,
            "%d %s: %s",
            problem.status,
            problem.code,
            detail,
            exc_info=error if traced else None,
        )
    return problem_response(problem, render_error)
