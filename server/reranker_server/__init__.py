"""The HTTP server: one engine call behind the v3 endpoint and the other dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reranker_server.app import create_app
    from reranker_server.settings import ServerSettings

__all__ = ["ServerSettings", "create_app"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: the command line's help needs neither."""
    if name == "create_app":
        from reranker_server.app import create_app

        return create_app
    if name == "ServerSettings":
        from reranker_server.settings import ServerSettings

        return ServerSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
