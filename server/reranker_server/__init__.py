"""The HTTP server: one engine call behind the v3 endpoint and, later, other dialects."""

from reranker_server.app import create_app
from reranker_server.settings import ServerSettings

__all__ = ["ServerSettings", "create_app"]
