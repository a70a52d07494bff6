"""One application for a module: nothing that is sent here may leave a trace in it."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from support.faulty import FaultyModels

from reranker import Reranker, Settings
from reranker_server import ServerSettings, create_app


@pytest.fixture(scope="module")
def client():
    reranker = Reranker(Settings(model="bi", model_cross="cross"), FaultyModels())
    app = create_app(reranker, ServerSettings())
    with TestClient(app, raise_server_exceptions=False) as client:
        assert app.state.handler.ready.wait(20)
        yield client
