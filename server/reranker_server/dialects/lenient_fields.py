"""One tolerant reading of the fields that all dialects send.

Null is absent, what is not known is ignored, and a field is refused only where going on would
mean to guess what the caller wants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reranker.errors import InvalidRequest
from reranker.types import Document, clean
from reranker_server.errors import NoDocuments, TooLarge

DOCUMENT_KEYS = ("documents", "texts", "passages", "contexts", "input")
MOST_DEPTH = 8  # of content parts within content parts

Payload = Mapping[str, Any]


def first(payload: Payload, *names: str) -> Any:
    """Return the first field that is there and not null."""
    return next((payload[name] for name in names if payload.get(name) is not None), None)


def nested(payload: Payload, name: str) -> Payload:
    """Return a field that is an object, an empty one if it is not."""
    value = payload.get(name)
    return value if isinstance(value, Mapping) else {}


def text(payload: Payload, name: str) -> str | None:
    """Return a string field; blank is absent."""
    value = payload.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be a string", param=name)
    return value


def whole(payload: Payload, *names: str) -> int | None:
    """Return the first of several whole numbers; as clients send it, so "5" and 5.0 are 5."""
    name = next((name for name in names if payload.get(name) is not None), "")
    value = payload.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidRequest(f"{name} must be a whole number of at least 0", param=name)
    return value


def flag(payload: Payload, *names: str) -> bool | None:
    """Return the first of several switches; "true" and "false" count as such."""
    name = next((name for name in names if payload.get(name) is not None), "")
    value = payload.get(name)
    if isinstance(value, str):
        value = {"true": True, "false": False, "": None}.get(value.strip().lower(), value)
    if value is None or isinstance(value, bool):
        return value
    raise InvalidRequest(f"{name} must be true or false", param=name)


def names(payload: Payload, name: str) -> tuple[str, ...]:
    """Return a list of strings; a lone string is a list of one."""
    value = payload.get(name)
    if value is None:
        return ()
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidRequest(f"{name} must be a list of strings", param=name)
    return tuple(value)


def content(value: Any, depth: int = 0) -> str | None:
    """Return the text of a string, `{text}`, `{content}` or a list of such; None if it has none."""
    if isinstance(value, str):
        return value
    if depth > MOST_DEPTH:
        return None
    if isinstance(value, Mapping):
        inner = first(value, "text", "content")
        return content(inner, depth + 1)
    if isinstance(value, list):
        parts = [content(each, depth + 1) for each in value]
        known = [part for part in parts if part is not None]
        return "\n".join(known) if known else None
    return None


def query(value: Any, place: str = "query") -> str:
    """Read a query; `place` is what errors call it.

    Raises:
        InvalidRequest: there is none, or it has no text.
    """
    found = content(value)
    if found is None:
        raise InvalidRequest(f"{place} must be a string or an object with a text", param=place)
    return clean(found)


def documents_key(payload: Payload) -> str | None:
    """Return the name of the field with the documents: a list if there is one."""
    listed = (name for name in DOCUMENT_KEYS if isinstance(payload.get(name), list))
    alone = (name for name in DOCUMENT_KEYS if isinstance(payload.get(name), str | Mapping))
    return next(listed, next(alone, None))


def documents(
    payload: Payload, fields: Sequence[str], most: int, inside: str = ""
) -> tuple[Document, ...]:
    """Read the documents from whichever field holds them.

    Args:
        payload: the object that has the field.
        fields: of an object, to rank on.
        most: how many are allowed.
        inside: of errors, before the field's name: where the object itself stands.

    Raises:
        NoDocuments: the list is empty.
        TooLarge: it is too long.
        InvalidRequest: there is none, or an item is no document.
    """
    key = documents_key(payload)
    name = f"{inside}{key or 'documents'}"
    if key is None:
        raise InvalidRequest(f"{name} must be a list of strings or objects", param=name)
    values = payload[key] if isinstance(payload[key], list) else [payload[key]]
    if not values:
        raise NoDocuments(f"{name} must hold at least one document", param=name)
    if len(values) > most:
        raise TooLarge(f"{len(values)} documents, at most {most} are allowed", param="documents")
    return tuple(_document(value, fields, f"{name}[{i}]") for i, value in enumerate(values))


def _document(value: Any, fields: Sequence[str], place: str) -> Document:
    """Read one document; an object without the wanted fields is ranked on all it has."""
    if isinstance(value, str):
        return Document.of(value)
    if not isinstance(value, Mapping) or not value:
        raise InvalidRequest(f"{place} must be a string or an object with a text", param=place)
    if any(value.get(name) is not None for name in fields):
        return Document.of(value, fields)
    if (found := content(value)) is not None:
        return Document(value, clean(found))
    return Document.of(value, tuple(value))
