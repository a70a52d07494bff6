"""The routes of the other dialects."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from reranker.errors import ModelUnavailable, RerankerError
from reranker_server.dialects import TABLE, detect, embeddings, pairs, tei
from reranker_server.dialects.base import Dialect, Door
from reranker_server.dialects.vendors import cloudflare, cohere, dashscope, nim
from reranker_server.errors import problem
from reranker_server.handler import respond
from reranker_server.http.body import to_json
from reranker_server.http.openapi import Schemas, parameters
from reranker_server.observability.llms_txt import TEXT
from reranker_server.observability.models_endpoint import Info, Listing, Model, Models

if TYPE_CHECKING:
    from fastapi import FastAPI

    from reranker_server.handler import Serving

SHARED = Door(cohere.DIALECT, detect)
_CLOUDFLARE = "accounts/{account}/ai/run/{model:path}"

# Order counts: the first path that matches is taken. The doubled ones are what the Cohere SDK
# and litellm make of a base address that ends in /v1 or /v2.
POSTS: tuple[tuple[Door, tuple[str, ...]], ...] = (
    (SHARED, ("/rerank", "/v1/rerank", "/v2/rerank")),
    (SHARED, ("/v1/v1/rerank", "/v1/v2/rerank", "/v2/v1/rerank", "/v2/v2/rerank")),
    (SHARED, ("/reranks", "/v1/reranks", "/compatible-api/v1/reranks", "/inference/v1/rerank")),
    (SHARED, ("/reranking", "/v1/reranking")),
    (Door(cohere.STRINGS), ("/api/rerank",)),
    (Door(nim.DIALECT), ("/ranking", "/v1/ranking", "/v1/retrieval/{model:path}/reranking")),
    (Door(dashscope.DIALECT), ("/api/v1/services/rerank/text-rerank/text-rerank",)),
    (Door(pairs.SCORE), ("/score", "/v1/score")),
    (Door(pairs.DEEPINFRA), ("/inference/{model:path}", "/v1/inference/{model:path}")),
    (
        Door(cloudflare.DIALECT),
        (f"/client/v4/{_CLOUDFLARE}", f"/{_CLOUDFLARE}", "/ai/run/{model:path}"),
    ),
    (Door(tei.DIALECT, detect), ("/", "/invocations")),
    (Door(embeddings.OPENAI), ("/embeddings", "/v1/embeddings")),
    (Door(embeddings.OPENAI), ("/voyage/v1/embeddings", "/infinity/embeddings")),
    (Door(embeddings.TEI), ("/embed",)),
    (Door(embeddings.TOKENIZE), ("/tokenize",)),
    *(
        (Door(each), tuple(f"/{each.name}{path}" for path in ("/rerank", "/v1/rerank")))
        for each in TABLE
    ),
)


def add(app: FastAPI, serving: Serving) -> dict[str, Any]:
    """Add all routes but those of v3; return the schemas that their descriptions refer to."""
    schemas = Schemas()
    for door, paths in POSTS:
        for path in paths:
            described = schemas.describe(door, path)
            app.add_api_route(path, _post(serving, door), methods=["POST"], **described)
    _add_listing(app, serving, schemas)
    _add_health(app, serving)

    @app.get(
        "/llms.txt",
        summary="What this server is, for language models",
        tags=["about"],
        response_class=PlainTextResponse,
    )
    async def llms() -> Response:
        return Response(TEXT, media_type="text/plain; charset=utf-8")

    return schemas.components


def _post(serving: Serving, door: Door) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await serving.answer(request, door)

    return answer


def _add_listing(app: FastAPI, serving: Serving, schemas: Schemas) -> None:
    listing = Listing(serving.reranker, serving.settings)

    async def models(request: Request) -> Response:
        return await _show(serving, request, listing.all)

    async def model(request: Request) -> Response:
        name = request.path_params["model"]
        return await _show(serving, request, lambda: listing.one(name))

    async def info(request: Request) -> Response:
        return await _show(serving, request, listing.info, tei.DIALECT)

    async def meta(request: Request) -> Response:
        return await _show(serving, request, listing.meta)

    for path, show, kind, summary in (
        ("/models", models, Models, "The models that requests may name"),
        ("/v1/models", models, Models, "The models that requests may name"),
        ("/models/{model:path}", model, Model, "One model"),
        ("/v1/models/{model:path}", model, Model, "One model"),
        ("/info", info, Info, "The default model, as TEI tells it"),
        ("/meta", meta, dict[str, Any], "The default models, as Weaviate asks for them"),
    ):
        name = "WeaviateMeta" if path == "/meta" else kind.__name__
        extra = {"parameters": parameters(path)}
        app.add_api_route(
            path,
            show,
            summary=summary,
            tags=["models"],
            responses=schemas.shows(kind, name),
            openapi_extra=extra,
        )


async def _show(
    serving: Serving,
    request: Request,
    make: Callable[[], Any],
    dialect: Dialect = cohere.DIALECT,
) -> Response:
    """Answer a question about the server; it needs a key like any other."""
    try:
        serving.keys.check(request.headers)
        return Response(to_json(make()), media_type="application/json")
    except RerankerError as error:
        return respond(problem(error), error, dialect)


def _add_health(app: FastAPI, serving: Serving) -> None:
    """Add what load balancers of other servers ask; /healthz and /readyz are our own."""

    async def ready() -> Response:
        if not serving.ready.is_set():
            error = ModelUnavailable("the models are being loaded; try again soon")
            return respond(problem(error), error, tei.DIALECT)
        return JSONResponse({"status": "ready", "unix": int(time.time())})

    async def alive() -> Response:
        return JSONResponse({"status": "alive", "unix": int(time.time())})

    for path in ("/health", "/ping", "/v1/health/ready", "/.well-known/ready"):
        app.add_api_route(path, ready, summary="Will a request be served?", tags=["health"])
    for path in ("/v1/health/live", "/.well-known/live"):
        app.add_api_route(path, alive, summary="Is the process alive?", tags=["health"])
