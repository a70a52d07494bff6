"""What the tests of real clients share."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import warnings
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

KEY = "sk-test"
MODEL = "minilm-l6-cross-encoder"

QUERY = "What is the capital of France?"
DOCUMENTS = [
    "Water boils at one hundred degrees Celsius at sea level.",
    "Paris is the capital and largest city of France.",
    "The mitochondrion is the powerhouse of the cell.",
    "France is a country in Western Europe; its capital is Paris.",
]


def client_module(name: str) -> ModuleType:
    """Import a client; where it is not installed, skip, unless all are said to be there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "ALL_CLIENTS" in os.environ:
            return importlib.import_module(name)
        return pytest.importorskip(name)


def call(
    url: str, body: Any = None, headers: dict[str, str] | None = None, method: str = ""
) -> tuple[int, Any]:
    """Send exactly these headers and return status and parsed body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        verb = method or ("GET" if body is None else "POST")
        connection.request(verb, parts.path, data, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None
    finally:
        connection.close()
