"""How the routes of the other dialects look in the OpenAPI document.

Their endpoints read the body themselves, as some clients send no Content-Type, so FastAPI cannot
know the schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Union

from pydantic import TypeAdapter

from reranker_server.dialect import Dialect, Door
from reranker_server.dialects import TABLE
from reranker_server.schemas import ErrorAnswer

_MEANINGS = {
    400: "The body is not valid JSON, or a field is missing or out of range.",
    401: "No valid API key.",
    402: "The key's token budget is used up.",
    403: "The key may not use this method or model.",
    404: "No such model.",
    408: "The body did not arrive in time.",
    413: "The body or the list of documents is too large.",
    422: "What elsewhere is 400.",
    424: "The model failed.",
    429: "No room now; Retry-After says when.",
    500: "The model failed.",
    503: "A model is loading or cannot be had.",
    504: "The deadline passed.",
}


def describe(door: Door, path: str) -> dict[str, Any]:
    """Return the arguments for FastAPI that describe a route."""
    dialects = _spoken(door)
    names = ", ".join(each.name for each in dialects)
    summary = f"Shared by the dialects {names}" if len(dialects) > 1 else f"Dialect {names}"
    error: Any = Union[tuple(each.error or ErrorAnswer for each in dialects)]  # noqa: UP007
    answer: Any = Union[tuple(each.answer for each in dialects)]  # noqa: UP007
    responses: dict[int | str, dict[str, Any]] = {
        status: _response(meaning, error) for status, meaning in _MEANINGS.items()
    }
    responses[200] = _response("The answer.", answer)
    return {
        "summary": summary,
        "tags": [dialects[0].name if len(dialects) == 1 else "shared"],
        "responses": responses,
        "openapi_extra": {
            "requestBody": {"required": True, "content": _bodies(dialects)},
            "parameters": _parameters(path),
        },
    }


def _spoken(door: Door) -> tuple[Dialect, ...]:
    """Return the dialects of a route, without those that only change what others say."""
    if door.choose is None:
        return (door.dialect,)
    return tuple(each for each in TABLE if each.claims is not None or each is door.dialect)


def _bodies(dialects: tuple[Dialect, ...]) -> dict[str, Any]:
    schemas = [schema_of(each.body) for each in dialects]
    schema = {"anyOf": schemas} if len(schemas) > 1 else schemas[0]
    return {"application/json": {"schema": schema}}


def _response(meaning: str, kind: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema_of(kind)}}
    return {"description": meaning, "content": content}


def _parameters(path: str) -> list[dict[str, Any]]:
    names = [part.partition("}")[0].partition(":")[0] for part in path.split("{")[1:]]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


@cache
def schema_of(kind: Any) -> dict[str, Any]:
    """Return a type's JSON schema with nothing left to look up elsewhere."""
    made = TypeAdapter(kind).json_schema()
    definitions = made.pop("$defs", {})
    inlined: dict[str, Any] = _inline(made, definitions)
    return inlined


def _inline(part: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inline(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inline(definitions[part["$ref"].rpartition("/")[2]], definitions)
    return {name: _inline(each, definitions) for name, each in part.items()}
