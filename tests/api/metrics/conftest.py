"""Metrics of a server around real, if tiny, models: what the doubles lack is there too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from reranker import Reranker, Settings
from reranker_server import ServerSettings, create_app


@pytest.fixture(scope="module")
def real_client(checkpoint: Callable[[str], Path]):
    settings = Settings(
        model="tiny",
        model_cross="tiny-cross",
        backend="torch",
        bi_encoders={"tiny": str(checkpoint("bert-mean"))},
        cross_encoders={"tiny-cross": str(checkpoint("bert-cross"))},
    )
    app = create_app(Reranker(settings), ServerSettings())
    with TestClient(app) as client:
        assert app.state.handler.ready.wait(60)
        body = {
            "model": "tiny",
            "model_cross": "tiny-cross",
            "query": "machine learning",
            "documents": ["neural network", "paris " * 100],
            "method": "best",
        }
        for _ in range(2):
            assert client.post("/api/v3/inference/reranker", json=body).status_code == 200
        yield client


@pytest.fixture(scope="module")
def real_metrics(real_client: TestClient) -> dict[str, set[str]]:
    """Return the labels of each metric that the server shows."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(real_client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found
