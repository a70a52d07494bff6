"""The application in process, around model doubles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from support.apps import starting
from support.fakes import FakeBiEncoder, FakeCrossEncoder, FakeModels

from reranker import UnknownModel

V3 = "/api/v3/inference/reranker"
QUERY = "what is machine learning"
DOCUMENTS = [
    "machine learning is learning from data",
    "python is a language",
    "deep learning uses networks",
    "the weather is sunny",
    "supervised machine learning needs labels",
]


class KnownModels(FakeModels):
    """Knows the ids "bi" and "cross" in their roles, and no other."""

    def bi_encoder(self, model: str) -> FakeBiEncoder:
        if model != "bi":
            raise UnknownModel(f"unknown bi-encoder {model!r}", param="model")
        return super().bi_encoder(model)

    def cross_encoder(self, model: str) -> FakeCrossEncoder:
        if model != "cross":
            raise UnknownModel(f"unknown cross-encoder {model!r}", param="model_cross")
        return super().cross_encoder(model)


@pytest.fixture
def models() -> KnownModels:
    return KnownModels()


@pytest.fixture
def start(models: KnownModels) -> Iterator[Callable[..., TestClient]]:
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
