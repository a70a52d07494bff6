"""All routes but the docs page: v3, the dialects, models, health and metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from reranker.errors import ModelUnavailable, RerankerError
from reranker_server.dialects.base import Endpoint
from reranker_server.dialects.ranking import as_400
from reranker_server.dialects.registry import DialectRegistry
from reranker_server.dialects.tei import render_tei_error
from reranker_server.http.openapi import Schemas, path_parameters
from reranker_server.http.responses import error_response, json_response
from reranker_server.observability.llms_txt import TEXT
from reranker_server.observability.metrics import CONTENT_TYPE, Metrics
from reranker_server.observability.models_endpoint import (
    ModelInfo,
    ModelList,
    ModelsEndpoint,
    TeiInfo,
)
from reranker_server.v3.endpoint import PATH, V3
from reranker_server.v3.schemas import ErrorResponse, RerankBody, RerankResponse

if TYPE_CHECKING:
    from fastapi import FastAPI

    from reranker_server.handler import RequestHandler

_V3_ERRORS = {
    400: "The body is not valid JSON.",
    401: "No valid API key.",
    402: "The key's token budget is used up.",
    403: "The key may not use this method or model.",
    404: "No such model.",
    408: "The body did not arrive in time.",
    413: "The body or the list of documents is too large.",
    415: "The body is compressed.",
    422: "A field is missing or out of range.",
    429: "No room now; Retry-After says when.",
    500: "The model failed.",
    503: "A model is loading or unavailable.",
    504: "The deadline passed.",
}


def add_v3(app: FastAPI, handler: RequestHandler) -> dict[str, Any]:
    """Add the v3 route; return the schema of its request."""
    reference = {"schema": {"$ref": "#/components/schemas/RerankBody"}}

    app.add_api_route(
        PATH,
        handler.route(Endpoint(V3)),
        name="rerank",
        methods=["POST"],
        summary="Rank documents by relevance to a query",
        tags=["rerank"],
        response_model=RerankResponse,
        responses={
            status: {"model": ErrorResponse, "description": text}
            for status, text in _V3_ERRORS.items()
        },
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": reference}}
        },
    )
    schema = RerankBody.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"RerankBody": schema}


def add_dialects(app: FastAPI, handler: RequestHandler) -> dict[str, Any]:
    """Add the routes of all dialects; return the schemas that their descriptions refer to."""
    schemas = Schemas()
    taken = [route.path for route in app.routes if isinstance(route, Route | Mount)]
    for path, endpoint in DialectRegistry(reserved=taken).routes():
        description = schemas.describe_endpoint(endpoint, path)
        app.add_api_route(path, handler.route(endpoint), methods=["POST"], **description)
    return schemas.components


def add_models(app: FastAPI, handler: RequestHandler) -> dict[str, Any]:
    """Add the routes that list models; return the schemas that their descriptions refer to."""
    schemas = Schemas()
    models = ModelsEndpoint(handler.engine, handler.settings)

    def add(
        path: str,
        read: Callable[[Request], Any],
        shape: Any,
        summary: str,
        name: str,
        render: Callable[..., tuple[int, Any]] = as_400,
    ) -> None:
        async def respond(request: Request) -> Response:
            try:
                handler.keys.authenticate(request.headers)
                return json_response(read(request))
            except RerankerError as error:
                return error_response(error, render)

        app.add_api_route(
            path,
            respond,
            summary=summary,
            tags=["models"],
            responses=schemas.describe_responses(shape, name),
            openapi_extra={"parameters": path_parameters(path)},
        )

    for prefix in ("", "/v1"):
        add(f"{prefix}/models", lambda _: models.all(), ModelList, "All models", "ModelList")
        add(
            f"{prefix}/models/{{model:path}}",
            lambda request: models.one(request.path_params["model"]),
            ModelInfo,
            "One model",
            "ModelInfo",
        )
    add(
        "/info",
        lambda _: models.info(),
        TeiInfo,
        "The default model, as TEI describes it",
        "TeiInfo",
        render_tei_error,
    )
    add(
        "/meta",
        lambda _: models.meta(),
        dict[str, Any],
        "The default models, in the shape of Weaviate",
        "WeaviateMeta",
    )
    return schemas.components


def add_health(app: FastAPI, handler: RequestHandler) -> None:
    """Add health checks: our own two, and those of other servers' load balancers."""

    @app.get("/healthz", tags=["operations"], summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"], summary="Will a request be served?")
    async def readyz() -> Response:
        states = dict(handler.engine.models.states())
        up = handler.ready.is_set() and handler.admission.open
        ready = up and "restarting" not in states.values()
        body = {"status": "ready" if ready else "not ready", "models": states}
        return JSONResponse(body, 200 if ready else 503, None if ready else {"Retry-After": "1"})

    async def ready() -> Response:
        if not handler.ready.is_set():
            error = ModelUnavailable("the models are being loaded; try again soon")
            return error_response(error, render_tei_error)
        return JSONResponse({"status": "ready", "unix": int(time.time())})

    async def alive() -> Response:
        return JSONResponse({"status": "alive", "unix": int(time.time())})

    for path in ("/health", "/ping", "/v1/health/ready", "/.well-known/ready"):
        app.add_api_route(path, ready, summary="Will a request be served?", tags=["health"])
    for path in ("/v1/health/live", "/.well-known/live"):
        app.add_api_route(path, alive, summary="Is the process alive?", tags=["health"])


def add_metrics(app: FastAPI, handler: RequestHandler, metrics: Metrics) -> None:
    """Add Prometheus' route, and the page for language models."""

    @app.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "Metrics."}},
    )
    def read_metrics(request: Request) -> Response:
        if not handler.settings.metrics_public:
            try:
                handler.keys.authenticate(request.headers)
            except RerankerError as error:
                return error_response(error)
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    @app.get(
        "/llms.txt",
        summary="How to call this server, for language models",
        tags=["about"],
        response_class=PlainTextResponse,
    )
    async def llms() -> Response:
        return Response(TEXT, media_type="text/plain; charset=utf-8")
