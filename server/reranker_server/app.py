"""The application: middleware, routes, errors, startup and shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from reranker.errors import RerankerError, SettingsError
from reranker.pipeline import registry
from reranker_server import routes
from reranker_server.errors import http_problem
from reranker_server.handler import RequestHandler
from reranker_server.http.docs_page import add_docs_page
from reranker_server.http.responses import error_response, problem_response
from reranker_server.observability.metrics import Metrics
from reranker_server.observability.middleware import REQUEST_ID, RequestRecording
from reranker_server.observability.request_log import log_request
from reranker_server.settings import ServerSettings

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.model_card import Role

log = logging.getLogger(__name__)


def create_app(
    reranker: Reranker,
    settings: ServerSettings | None = None,
    on_failed_start: Callable[[RerankerError], None] | None = None,
) -> FastAPI:
    """Return the application around an engine.

    Args:
        reranker: the engine; closed with the application.
        settings: keys, limits and the models to load before ready.
        on_failed_start: called if one of those models cannot be loaded. By default the
            application logs it and stays up without ever becoming ready.
    """
    settings = settings or ServerSettings()
    handler = RequestHandler(reranker, settings)
    metrics = Metrics(handler)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        threading.Thread(
            target=_preload, args=(handler, on_failed_start), name="preload", daemon=True
        ).start()
        yield
        await asyncio.get_running_loop().run_in_executor(None, handler.close)
        reranker.close()

    app = FastAPI(
        title="Reranker",
        version=version("reranker"),
        summary="One request names a method, and so chooses speed or accuracy.",
        lifespan=lifespan,
        docs_url=None,  # docs_page serves one without a CDN
        redoc_url=None,
    )
    app.state.handler = handler
    add_docs_page(app)
    routes.add_health(app, handler)
    routes.add_metrics(app, handler, metrics)
    schemas = routes.add_v3(app, handler)
    schemas |= routes.add_models(app, handler)
    schemas |= routes.add_dialects(app, handler)
    _add_schemas(app, schemas)
    _add_error_handlers(app)
    _add_middleware(app, settings, metrics)
    return app


def _add_middleware(app: FastAPI, settings: ServerSettings, metrics: Metrics) -> None:
    sinks = [metrics.count, log_request]
    if settings.traces:
        from reranker_server.observability.tracing import TraceExporter

        sinks.append(TraceExporter().export)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID, "server-timing", "retry-after"],
        )
    app.add_middleware(RequestRecording, sinks=sinks)


def _add_schemas(app: FastAPI, schemas: Mapping[str, Any]) -> None:
    """Add schemas to the OpenAPI document: the endpoints parse their bodies themselves."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        for name, schema in schemas.items():
            document["components"]["schemas"].setdefault(name, schema)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        response = problem_response(http_problem(error.status_code))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def on_any(_: Request, error: Exception) -> Response:
        return error_response(error)


def _preload(handler: RequestHandler, on_failure: Callable[[RerankerError], None] | None) -> None:
    """Load and warm the models of the settings, then become ready."""
    try:
        handler.engine.warm(_models_to_preload(handler))
        if handler.settings.preload is None:
            _warm_methods(handler.engine)
    except RerankerError as error:
        if on_failure is None:
            log.error("cannot start: %s", error.for_operator())
        else:
            on_failure(error)  # the caller stops the server and logs the reason
        return
    handler.ready.set()
    log.info("ready")


def _warm_methods(reranker: Reranker) -> None:
    """Run each method once, so that the first request does not wait for its imports."""
    for name in registry.names():
        try:
            reranker.rank("warm", ["up"], method=name)
        except SettingsError:
            raise
        except Exception as error:  # a broken plug-in must not keep the others from being served
            why = error.for_operator() if isinstance(error, RerankerError) else repr(error)
            log.error("method %r does not work: %s", name, why)
            log.debug("method %r does not work", name, exc_info=error)


def _models_to_preload(handler: RequestHandler) -> list[tuple[Role, str]] | None:
    """Return the models to preload; an id that stands for both roles is loaded in both."""
    if handler.settings.preload is None:
        return None
    catalog = handler.engine.models.catalog
    return [(role, name) for name in handler.settings.preload for role in catalog.roles(name)]
