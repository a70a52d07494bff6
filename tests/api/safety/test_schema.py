"""Requests made up from the server's own OpenAPI document: no 500, and answers as described."""

from __future__ import annotations

import os
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.fakes import FakeModels

from reranker import Reranker, Settings
from reranker_server import ServerSettings, create_app

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))  # of each route
TELLING = (
    "Traceback",
    'File "',
    str(Path(__file__).parents[3]),
    "/usr/",
    "site-packages",
    "schema-key",
)

# One route for each dialect; FUZZ_ROUTES=all takes the others too, which lead to the same.
ROUTES = (
    "/api/v3/inference/reranker",
    "/v1/rerank",
    "/api/rerank",
    "/ranking",
    "/score",
    "/v1/inference/{model}",
    "/accounts/{account}/ai/run/{model}",
    "/",
    "/v1/embeddings",
    "/embed",
    "/tokenize",
    "/mixedbread/rerank",
    "/pinecone/rerank",
    "/dashscope/rerank",
    "/weaviate/rerank",
    "/sglang/rerank",
    "/voyage/rerank",
)
GETS = ("/healthz", "/readyz", "/v1/models", "/models/{model}", "/info", "/llms.txt", "/metrics")

app = create_app(
    Reranker(Settings(model="bi", model_cross="cross"), FakeModels()),
    ServerSettings(api_keys=("schema-key",), max_documents=50),
)
app.state.handler.ready.set()


async def lasting(scope, receive, send):
    """Serve the application without ever ending it, as the end of a client would."""
    if scope["type"] != "lifespan":
        await app(scope, receive, send)
        return
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})


schema = schemathesis.openapi.from_asgi("/openapi.json", lasting)
schema.config.generation.update(max_examples=EXAMPLES)
if os.environ.get("FUZZ_ROUTES") != "all":
    schema.config.phases.coverage.enabled = False  # boundary values, a minute or two of them
    schema = schema.include(path=[*ROUTES, *GETS])


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_route_keeps_to_its_description(case):
    case.headers = {**(case.headers or {}), "Authorization": "Bearer schema-key"}
    answer = case.call()
    assert answer.status_code not in (500, 501, 502)
    case.validate_response(
        answer,
        checks=(
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ),
    )
    sent = repr((case.body, case.path_parameters, case.query))  # the fuzzer reads this file too
    assert not [word for word in TELLING if word in answer.text and word not in sent]
