"""Closed-loop clients over the loopback, light enough to leave the machine to the server."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

PATH = "/api/v3/inference/reranker"
START_SECONDS = 180


def environment() -> dict[str, str]:
    """Return this process's environment, offline and without settings of ours."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RERANKER_", "PYTHONPATH"))}
    return {**kept, "HF_HUB_OFFLINE": "1"}


@contextlib.contextmanager
def serving(checkout: Path, config: str) -> Iterator[int]:
    """Run a checkout's own `reranker serve` for the block and yield its port.

    Args:
        checkout: its folder, with a virtual environment in `.venv`.
        config: text of the TOML file with its settings.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, log, port = Path(folder) / "reranker.toml", Path(folder) / "log", _free_port()
        file.write_text(config, encoding="utf-8")
        command = [str(checkout / ".venv/bin/reranker"), "serve", "--port", str(port)]
        with log.open("wb") as out:
            server = subprocess.Popen(
                [*command, "--config", str(file)],
                cwd=checkout,
                env=environment(),
                stdout=out,
                stderr=out,
            )
        try:
            _wait_until_ready(server, port, log)
            yield port
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), Connection(port) as connection:
            if connection.send("GET", "/readyz") == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"{server.args!r}: not ready\n{log.read_text(errors='replace')}")


class Connection:
    """One connection that stays open.

    Args:
        port: of the loopback.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers: BinaryIO = self._socket.makefile("rb")

    def send(self, verb: str, path: str, body: bytes = b"") -> int:
        """Send a request, read its answer to the end and return its status."""
        head = f"{verb} {path} HTTP/1.1\r\nhost: lab\r\ncontent-type: application/json\r\n"
        self._socket.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        status, length = int(self._answers.readline().split()[1]), 0
        while line := self._answers.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        self._answers.read(length)
        return status

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()


def requests_a_second(
    clients: int, seconds: float, body: Mapping[str, Any], port: int, repeat: int
) -> float:
    """Return how many requests a second clients get answered that send one after the other.

    Args:
        clients: how many at a time.
        seconds: how long.
        body: of each request, but for the query, which is a new one each time.
        port: of the server.
        repeat: part of the queries.
    """
    counts, failed = [0] * clients, []
    start = time.perf_counter()

    def client(number: int) -> None:
        with Connection(port) as connection:
            while time.perf_counter() < start + seconds:
                query = f"boundary layer number {repeat} {number} {counts[number]} {start:.3f}"
                sent = json.dumps({**body, "query": query}).encode()
                if (status := connection.send("POST", PATH, sent)) != 200:
                    failed.append(status)
                    return
                counts[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed or not all(counts):
        raise SystemExit(f"port {port}: {failed or 'no answer'}")
    return sum(counts) / (time.perf_counter() - start)
