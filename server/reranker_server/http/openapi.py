"""How the routes of the other dialects look in the OpenAPI document.

Their endpoints read the body themselves, as some clients send no Content-Type, so FastAPI cannot
know the schemas. Each dialect's types become components, `TeiBody` and the like.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from reranker_server.dialects import TABLE
from reranker_server.dialects.base import Dialect, Door
from reranker_server.v3.schemas import ErrorAnswer

_REF = "#/components/schemas/"
_CALLER = (
    "400 a bad body (422 in TEI's dialect), 401 no valid key, 402 the budget is used up, 403 not "
    "allowed with this key, 404 no such model, 408 the body came too slowly, 413 too large, 415 "
    "compressed, 429 no room now: Retry-After says when, 424 in TEI's dialect for a failed model."
)
_SERVER = "500 the model failed, 503 it is loading or cannot be had, 504 the deadline passed."
_COUNT = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}}


class Schemas:
    """The components that the described routes refer to."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def describe(self, door: Door, path: str) -> dict[str, Any]:
        """Return the arguments for FastAPI that describe a route."""
        dialects = _spoken(door)
        names = ", ".join(each.name for each in dialects)
        alone = len(dialects) == 1
        error = self._any(
            [self._ref(each, "Error", each.error or ErrorAnswer) for each in dialects]
        )
        answer = self._any([self._ref(each, "Answer", each.answer) for each in dialects])
        body = self._any([self._ref(each, "Body", each.body) for each in dialects])
        return {
            "summary": f"{names}" if alone else f"Shared by {names}",
            "tags": [names if alone else "shared"],
            "responses": {
                200: {"description": "The answer.", "content": _json(answer)},
                "4XX": {"description": _CALLER, "content": _json(error), "headers": _COUNT},
                "5XX": {"description": _SERVER, "content": _json(error), "headers": _COUNT},
            },
            "openapi_extra": {
                "requestBody": {"required": True, "content": _json(body)},
                "parameters": parameters(path),
            },
        }

    def shows(self, kind: Any, name: str) -> dict[int | str, dict[str, Any]]:
        """Return the responses of a route that only tells something."""
        error = self._add("ErrorAnswer", ErrorAnswer)
        return {
            200: {"description": "The answer.", "content": _json(self._add(name, kind))},
            "4XX": {"description": _CALLER, "content": _json(error)},
        }

    def _ref(self, dialect: Dialect, part: str, kind: Any) -> dict[str, Any]:
        if kind is ErrorAnswer:
            return self._add("ErrorAnswer", kind)
        title = "".join(word.capitalize() for word in dialect.name.split("-"))
        return self._add(f"{title}{part}", kind)

    def _add(self, name: str, kind: Any) -> dict[str, Any]:
        if name not in self.components:
            prefix = f"{name}." if name != "ErrorAnswer" else ""
            made = TypeAdapter(kind).json_schema(ref_template=f"{_REF}{prefix}{{model}}")
            inner = made.pop("$defs", {})
            self.components |= {f"{prefix}{each}": schema for each, schema in inner.items()}
            self.components[name] = made
        return {"$ref": f"{_REF}{name}"}

    def _any(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        distinct = [part for i, part in enumerate(parts) if part not in parts[:i]]
        return distinct[0] if len(distinct) == 1 else {"anyOf": distinct}


def _spoken(door: Door) -> tuple[Dialect, ...]:
    """Return the dialects of a route."""
    if door.choose is None:
        return (door.dialect,)
    return tuple(each for each in TABLE if each.claims is not None or each is door.dialect)


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def parameters(path: str) -> list[dict[str, Any]]:
    """Return the description of the parts of a path that vary."""
    names = [part.partition("}")[0].partition(":")[0] for part in path.split("{")[1:]]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]
