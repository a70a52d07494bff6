"""`reranker serve`."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from reranker_cli.configuration import ConfigOption, engine_settings, start_logging


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on.", show_default="8000")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Serve the HTTP API."""
    from reranker import settings
    from reranker_server import run
    from reranker_server.settings import ServerSettings

    engine, file = engine_settings(config)
    server = settings.resolve(ServerSettings, "server", file, {"host": host, "port": port})
    start_logging(server.value.log_level, server.sources["log_level"])
    for name, source in server.sources.items():
        logging.getLogger("reranker.settings").debug("server.%s from %s", name, source)
    run.serve(engine, server.value)
