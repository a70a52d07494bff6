"""Documents in a file: text or JSON objects, one a line, or one JSON array."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reranker.errors import InvalidRequest
from reranker.types import Document


def read_documents(path: Path | None, rank_fields: Sequence[str]) -> list[Document]:
    """Return the documents of a file; empty lines are skipped.

    Args:
        path: of the file, UTF-8 with or without a byte order mark; None is standard input.
        rank_fields: fields of an object that make its text.

    Raises:
        InvalidRequest: the file cannot be read, holds no document, or names the line at fault.
    """
    source = str(path or "standard input")
    documents = []
    for place, value in _values(_text(path, source)):
        try:
            documents.append(Document.of(value, rank_fields))
        except InvalidRequest as error:
            raise InvalidRequest(f"{source}, {place}: {error.message}") from error
    if not documents:
        raise InvalidRequest(f"{source} holds no documents")
    return documents


def _text(path: Path | None, source: str) -> str:
    if path is None and sys.stdin.isatty():
        raise InvalidRequest("name a file of documents, or pipe them in, one a line")
    try:
        content = sys.stdin.buffer.read() if path is None else path.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InvalidRequest(f"{source} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{source} is not UTF-8 text") from error


def _values(text: str) -> Iterator[tuple[str, Any]]:
    """Yield each document with its place in the file."""
    array = _json(text) if text.lstrip().startswith("[") else None
    if isinstance(array, list):
        for number, value in enumerate(array, start=1):
            yield f"element {number}", value
        return
    # Not `splitlines`: that also splits at characters that may stand within a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            value = _json(line) if line.lstrip().startswith("{") else None
            yield f"line {number}", value if isinstance(value, dict) else line.removesuffix("\r")


def _json(text: str) -> Any:
    """Return a JSON value, None where the text is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None
