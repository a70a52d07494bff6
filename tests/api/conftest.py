"""The application in process, around model doubles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from support.apps import pair_catalog, starting
from support.fakes import FakeModels

V3 = "/api/v3/inference/reranker"
QUERY = "what is machine learning"
DOCUMENTS = [
    "machine learning is learning from data",
    "python is a language",
    "deep learning uses networks",
    "the weather is sunny",
    "supervised machine learning needs labels",
]


@pytest.fixture
def models() -> FakeModels:
    """Know the ids "bi" and "cross" in their roles, and no other."""
    return FakeModels(catalog=pair_catalog())


@pytest.fixture
def start(models: FakeModels) -> Iterator[Callable[..., TestClient]]:
    """Start an application with server settings and return a client of it."""
    with starting(models) as start:
        yield start


@pytest.fixture
def client(start: Callable[..., TestClient]) -> TestClient:
    return start()


@pytest.fixture
def ask(client: TestClient) -> Callable[..., Any]:
    """Send a v3 request made of the usual one and changes to it; None drops a field."""

    def ask(**changes: Any) -> Any:
        body = {"model": "bi", "query": QUERY, "documents": DOCUMENTS} | changes
        sent = {name: value for name, value in body.items() if value is not None}
        return client.post(V3, json=sent)

    return ask
