"""Start the server and wait for its end."""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from typing import TYPE_CHECKING

import uvicorn

from reranker.engine import Reranker
from reranker.errors import RerankerError, SettingsError
from reranker.process_tuning import trim_memory, tune_process
from reranker_server.app import create_app
from reranker_server.http.connections import bounded_protocol, raise_open_files_limit
from reranker_server.observability import logs

if TYPE_CHECKING:
    from reranker.settings import Settings
    from reranker_server.handler import RequestHandler
    from reranker_server.settings import ServerSettings

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.5  # how often to check for a second signal
_FLUSH_SECONDS = 5  # for responses that are being sent


def serve(engine: Settings, server: ServerSettings) -> None:
    """Serve an engine with these settings; see `run_server`."""
    run_server(Reranker(engine, model_load_timeout=server.model_load_timeout_ms / 1e3), server)


def run_server(reranker: Reranker, server: ServerSettings) -> None:
    """Serve until a signal; requests in flight are finished first.

    Raises:
        SettingsError: the address is in use or not this machine's.
        RerankerError: a model named in the settings could not be loaded.
    """
    logs.configure(server.log_format)
    raise_open_files_limit()
    tune_process()
    listening = _listen(server.host, server.port)
    warn_if_open(server)
    failures: list[RerankerError] = []

    def stop(error: RerankerError) -> None:
        failures.append(error)
        running.should_exit = True

    app = create_app(reranker, server, on_failed_start=stop)
    running = DrainingServer(
        app.state.handler,
        uvicorn.Config(
            app,
            http=bounded_protocol(server.header_timeout_ms / 1e3, server.body_timeout_ms / 1e3),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_FLUSH_SECONDS,
        ),
    )
    host, port = listening.getsockname()[:2]
    log.info("listening on http://%s:%d, docs at /docs", host, port)
    with listening, trim_memory(app.state.handler.ready.is_set):
        running.run(sockets=[listening])
    if failures:
        raise failures[0]


class DrainingServer(uvicorn.Server):
    """Finishes the requests in flight before it stops; new ones get 503 meanwhile.

    A second signal ends the wait.
    """

    def __init__(self, handler: RequestHandler, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._handler = handler

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop."""
        admission = self._handler.admission
        admission.close()
        log.info("shutting down: %d requests in flight", admission.in_flight)
        end = time.monotonic() + self._handler.settings.shutdown_ms / 1e3
        while time.monotonic() < end and not self.force_exit:
            if await admission.drained(_POLL_SECONDS):
                break
        await super().shutdown(sockets)


def warn_if_open(server: ServerSettings) -> None:
    """Warn if the server is reachable from other machines and needs no key."""
    if not (server.api_keys or server.keys_file) and not _is_loopback(server.host):
        log.warning(
            "no API keys are set and %s is reachable from other machines: anyone may call; "
            "set api_keys or keys_file, or listen on 127.0.0.1",
            server.host,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        reason = "is in use" if error.errno in (98, 48) else "cannot be listened on"
        raise SettingsError(
            f"{host}:{port} {reason}; choose another with --host and --port"
        ) from error
    return listening
