"""The application in process, around model doubles that a catalogue lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from support.apps import starting
from support.fakes import FakeBiEncoder, FakeCrossEncoder, FakeModels

from reranker.hub.catalog import Catalog

QUERY = "what is machine learning"
DOCUMENTS = ["the weather is sunny", "machine learning", "deep learning is machine learning too"]
BEST_FIRST = [1, 2, 0]


class ListedModels(FakeModels):
    """Knows the ids "bi" and "cross", the shipped ones, and one of Cloudflare's."""

    def __init__(self) -> None:
        super().__init__()
        self.catalog = Catalog(
            {
                "bi-encoder": {"bi": "all-MiniLM-L6-v2"},
                "cross-encoder": {
                    "cross": "minilm-l6-cross-encoder",
                    "@cf/baai/bge-reranker-base": "minilm-l6-cross-encoder",
                },
            }
        )
        self.asked: list[tuple[str, str]] = []

    def bi_encoder(self, model: str) -> FakeBiEncoder:
        self.catalog.find("bi-encoder", model)
        self.asked.append(("bi", model))
        return super().bi_encoder(model)

    def cross_encoder(self, model: str) -> FakeCrossEncoder:
        self.catalog.find("cross-encoder", model)
        self.asked.append(("cross", model))
        return super().cross_encoder(model)


@pytest.fixture(scope="session")
def models() -> ListedModels:
    return ListedModels()


@pytest.fixture(scope="session")
def start(models: ListedModels) -> Iterator[Callable[..., TestClient]]:
    """Start an application with server settings and return a client of it."""
    with starting(models) as start:
        yield start


@pytest.fixture(scope="session")
def client(start: Callable[..., TestClient]) -> TestClient:
    return start()


@pytest.fixture
def ask(client: TestClient) -> Callable[..., Any]:
    """Post the usual query and documents, changed; None as a value is sent as null."""

    def ask(path: str = "/v1/rerank", drop: tuple[str, ...] = (), headers: Any = None, **more: Any):
        body = {"query": QUERY, "documents": DOCUMENTS} | more
        sent = {name: value for name, value in body.items() if name not in drop}
        return client.post(path, json=sent, headers=headers)

    return ask
