"""Hooks up all that lets the server be seen from outside, and kept safe from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from reranker_server.errors import Unauthorized, problem
from reranker_server.handler import respond
from reranker_server.observability import logs
from reranker_server.observability.metrics import CONTENT_TYPE, Metrics
from reranker_server.observability.request_log import REQUEST_ID, Observed, Sink

if TYPE_CHECKING:
    from fastapi import FastAPI

    from reranker_server.handler import Serving


def watch(app: FastAPI, serving: Serving) -> None:
    """Add `/metrics`, request ids, the access log, traces, security headers and CORS."""
    metrics, settings = Metrics(serving), serving.settings

    @app.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "Metrics."}},
    )
    def read(request: Request) -> Response:
        if not settings.open_metrics:
            try:
                serving.keys.check(request.headers)
            except Unauthorized as error:
                return respond(problem(error), error)
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    sinks: list[Sink] = [metrics.write, logs.write]
    if settings.traces:
        from reranker_server.observability.tracing import Traces

        sinks.append(Traces().write)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID, "server-timing", "retry-after"],
        )
    app.add_middleware(Observed, sinks=sinks, failed=lambda error: respond(problem(error), error))
