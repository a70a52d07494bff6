"""How the routes of the dialects look in the OpenAPI document.

Their endpoints read the body themselves, as some clients send no Content-Type, so FastAPI cannot
know the schemas. Each dialect's types become components, `TeiRequest` and the like.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from reranker_server.dialects.base import Dialect, Endpoint
from reranker_server.v3.schemas import ErrorResponse

_REF = "#/components/schemas/"
_CLIENT_ERRORS = (
    "400 a bad body (422 in TEI's dialect), 401 no valid key, 402 the budget is used up, 403 not "
    "allowed with this key, 404 no such model, 408 the body came too slowly, 413 too large, 415 "
    "compressed, 429 no room now: Retry-After says when, 424 in TEI's dialect for a failed model."
)
_SERVER_ERRORS = "500 the model failed, 503 it is loading or unavailable, 504 the deadline passed."
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}}


class Schemas:
    """The components that the described routes refer to."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def describe_endpoint(self, endpoint: Endpoint, path: str) -> dict[str, Any]:
        """Return the arguments for FastAPI that describe a route of one or more dialects."""
        dialects = (*endpoint.others, endpoint.dialect)
        names = ", ".join(each.name for each in dialects)
        alone = len(dialects) == 1
        request = _any_of([self._ref(each, "Request", each.request) for each in dialects])
        response = _any_of([self._ref(each, "Response", each.response) for each in dialects])
        error = _any_of(
            [self._ref(each, "Error", each.error or ErrorResponse) for each in dialects]
        )
        return {
            "summary": names if alone else f"Shared by {names}",
            "tags": [names if alone else "shared"],
            "responses": {
                200: {"description": "The response.", "content": _json(response)},
                "4XX": _errors(_CLIENT_ERRORS, error),
                "5XX": _errors(_SERVER_ERRORS, error),
            },
            "openapi_extra": {
                "requestBody": {"required": True, "content": _json(request)},
                "parameters": path_parameters(path),
            },
        }

    def describe_responses(self, shape: Any, name: str) -> dict[int | str, dict[str, Any]]:
        """Return the responses of a route without a body, which needs a key and runs no model."""
        error = self._add("ErrorResponse", ErrorResponse)
        return {
            200: {"description": "The response.", "content": _json(self._add(name, shape))},
            "4XX": {"description": _CLIENT_ERRORS, "content": _json(error)},
        }

    def _ref(self, dialect: Dialect, part: str, shape: Any) -> dict[str, Any]:
        if shape is ErrorResponse:
            return self._add("ErrorResponse", shape)
        title = "".join(word.capitalize() for word in dialect.name.split("-"))
        return self._add(f"{title}{part}", shape)

    def _add(self, name: str, shape: Any) -> dict[str, Any]:
        if name not in self.components:
            prefix = f"{name}." if name != "ErrorResponse" else ""
            schema = TypeAdapter(shape).json_schema(ref_template=f"{_REF}{prefix}{{model}}")
            inner = schema.pop("$defs", {})
            self.components |= {f"{prefix}{each}": part for each, part in inner.items()}
            self.components[name] = schema
        return {"$ref": f"{_REF}{name}"}


def path_parameters(path: str) -> list[dict[str, Any]]:
    """Return the description of the parts of a path that vary."""
    names = [part.partition("}")[0].partition(":")[0] for part in path.split("{")[1:]]
    schema = {"type": "string", "pattern": r"^[^\n]+$"}  # a route matches no line break
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _any_of(parts: list[dict[str, Any]]) -> dict[str, Any]:
    distinct = [part for i, part in enumerate(parts) if part not in parts[:i]]
    return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _errors(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": _json(schema), "headers": _RETRY_AFTER}
