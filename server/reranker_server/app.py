"""The application: routes, errors, start and end."""

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
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from reranker.errors import RerankerError, SettingsError
from reranker.pipeline import registry
from reranker_server import routes
from reranker_server.dialects.base import Door
from reranker_server.errors import http_problem, problem
from reranker_server.handler import Serving, respond
from reranker_server.http import docs_page
from reranker_server.observability.middleware import watch
from reranker_server.settings import ServerSettings
from reranker_server.v3 import endpoint as v3
from reranker_server.v3.schemas import ErrorAnswer, RerankAnswer, RerankBody

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.families.base import Role

log = logging.getLogger(__name__)

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The body is not valid JSON."},
    401: {"model": ErrorAnswer, "description": "No valid API key."},
    402: {"model": ErrorAnswer, "description": "The key's token budget is used up."},
    403: {"model": ErrorAnswer, "description": "The key may not use this method or model."},
    404: {"model": ErrorAnswer, "description": "No such model."},
    408: {"model": ErrorAnswer, "description": "The body did not arrive in time."},
    413: {"model": ErrorAnswer, "description": "The body or the list of documents is too large."},
    415: {"model": ErrorAnswer, "description": "The body is compressed."},
    422: {"model": ErrorAnswer, "description": "A field is missing or out of range."},
    429: {"model": ErrorAnswer, "description": "No room now; Retry-After says when."},
    500: {"model": ErrorAnswer, "description": "The model failed."},
    503: {"model": ErrorAnswer, "description": "A model is loading or cannot be had."},
    504: {"model": ErrorAnswer, "description": "The deadline passed."},
}


def create_app(
    reranker: Reranker,
    settings: ServerSettings | None = None,
    on_failed_start: Callable[[RerankerError], None] | None = None,
) -> FastAPI:
    """Return the application around an engine.

    Args:
        reranker: the engine; closed with the application.
        settings: keys, limits and the models to load before ready.
        on_failed_start: called if one of those models cannot be loaded; the application stays
            up, and not ready, if there is no one to decide otherwise.
    """
    serving = Serving(reranker, settings or ServerSettings())

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        threading.Thread(
            target=_preload, args=(serving, on_failed_start), name="preload", daemon=True
        ).start()
        yield
        await asyncio.get_running_loop().run_in_executor(None, serving.close)
        reranker.close()

    app = FastAPI(
        title="Reranker",
        version=version("reranker"),
        summary="One request names a method, and so chooses speed or accuracy.",
        lifespan=lifespan,
        docs_url=None,  # docs_page serves one without a CDN
        redoc_url=None,
    )
    app.state.serving = serving
    docs_page.add(app)
    _add_routes(app, serving)
    _describe(app, routes.add(app, serving))
    _add_error_handlers(app)
    watch(app, serving)
    return app


def _preload(serving: Serving, on_failure: Callable[[RerankerError], None] | None) -> None:
    """Load and warm the models named in the settings, then say ready."""
    try:
        serving.reranker.warm(_named(serving))
        if serving.settings.preload is None:
            _rehearse(serving.reranker)
    except RerankerError as error:
        if on_failure is None:
            log.error("cannot start: %s", error.for_operator())
        else:
            on_failure(error)  # who stops the server also says why
        return
    serving.ready.set()
    log.info("ready")


def _rehearse(reranker: Reranker) -> None:
    """Run each method once, so that the first request does not wait for its imports."""
    for name in registry.names():
        try:
            reranker.rank("warm", ["up"], method=name)
        except SettingsError:
            raise
        except Exception:  # a broken plug-in must not keep the others from being served
            log.exception("method %s does not work", name)


def _named(serving: Serving) -> list[tuple[Role, str]] | None:
    """Return the models to preload; an id that stands for both roles is loaded in both."""
    if serving.settings.preload is None:
        return None
    catalog = serving.reranker.models.catalog
    return [(role, name) for name in serving.settings.preload for role in catalog.roles(name)]


def _add_routes(app: FastAPI, serving: Serving) -> None:
    @app.post(
        v3.PATH,
        summary="Rank documents by relevance to a query",
        tags=["rerank"],
        response_model=RerankAnswer,
        responses=_ERRORS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/RerankBody"}}
                },
            }
        },
    )
    async def rerank(request: Request) -> Response:
        return await serving.answer(request, Door(v3.DIALECT))

    @app.get("/healthz", tags=["operations"], summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"], summary="Will a request be served?")
    async def readyz() -> Response:
        states = dict(serving.reranker.models.states())
        up = serving.ready.is_set() and serving.admission.open
        ready = up and "restarting" not in states.values()
        body = {"status": "ready" if ready else "not ready", "models": states}
        return JSONResponse(body, 200 if ready else 503, None if ready else {"Retry-After": "1"})


def _describe(app: FastAPI, schemas: Mapping[str, Any]) -> None:
    """Add schemas of bodies to the OpenAPI document: the endpoints read them themselves."""
    generate = app.openapi
    own = RerankBody.model_json_schema(ref_template="#/components/schemas/{model}")

    def openapi() -> dict[str, Any]:
        made = generate()
        for name, schema in {**schemas, "RerankBody": own}.items():
            made["components"]["schemas"].setdefault(name, schema)
        return made

    app.openapi = openapi  # type: ignore[method-assign]


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        trouble = http_problem(error.status_code)
        response = respond(trouble)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def on_any(_: Request, error: Exception) -> Response:
        return respond(problem(error), error)
