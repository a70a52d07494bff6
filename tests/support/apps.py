"""The application in process, around given models."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from starlette.testclient import TestClient

from reranker import Reranker, Settings
from reranker.hub.catalog import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER, Catalog
from reranker_server import ServerSettings, create_app


def pair_catalog() -> Catalog:
    """Return a catalogue that knows "bi" and "cross" in their roles, and no other id."""
    return Catalog(
        {
            "bi-encoder": {"bi": DEFAULT_BI_ENCODER},
            "cross-encoder": {"cross": DEFAULT_CROSS_ENCODER},
        },
        on_request="configured",
    )


@contextlib.contextmanager
def starting(models: Any) -> Iterator[Callable[..., TestClient]]:
    """Give a function that starts an application with server settings; all end with the block."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> TestClient:
            reranker = Reranker(Settings(model="bi", model_cross="cross"), models)
            app = create_app(reranker, ServerSettings(**settings))
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            assert app.state.handler.ready.wait(20)
            return client

        yield start
