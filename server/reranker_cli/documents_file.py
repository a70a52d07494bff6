"""Documents as files hold them: one a line, text or a JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reranker.errors import InvalidRequest
from reranker.types import Document


def read(path: Path | None, rank_fields: Sequence[str]) -> list[Document]:
    """Return the documents of a file; empty lines are skipped.

    Args:
        path: of the file; None is standard input.
        rank_fields: fields of an object that make its text.

    Raises:
        InvalidRequest: the file cannot be read, holds no document, or a line is none; says which.
    """
    if path is None and sys.stdin.isatty():
        raise InvalidRequest("name a file of documents, or pipe them in, one a line")
    source = path or "standard input"
    try:
        text = sys.stdin.read() if path is None else path.read_text("utf-8")
    except OSError as error:
        raise InvalidRequest(f"{source} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{source} is not UTF-8 text") from error
    documents = []
    # Not `splitlines`: that also splits at characters that may stand within a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            documents.append(Document.of(_parse(line), rank_fields))
        except InvalidRequest as error:
            raise InvalidRequest(f"{source}, line {number}: {error.message}") from error
    if not documents:
        raise InvalidRequest(f"{source} holds no documents")
    return documents


def _parse(line: str) -> str | dict[str, Any]:
    """Read a line of text, or a JSON object."""
    if line.lstrip().startswith("{"):
        try:
            value = json.loads(line)
        except ValueError:
            return line
        if isinstance(value, dict):
            return value
    return line
