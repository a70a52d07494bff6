"""A server of its own process around `support.faulty`, on a free port of the loopback."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

TESTS = Path(__file__).parents[1]
V3 = "/api/v3/inference/reranker"


@dataclass
class Live:
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: str = "k", **options: Any) -> httpx.Client:
        auth = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.base, headers=auth, timeout=30, **options)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples with these labels."""
        with self.client() as client:
            text = client.get("/metrics").text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def body(*documents: str, **changes: Any) -> dict[str, Any]:
    return {"model": "bi", "query": "a b", "documents": list(documents) or ["a", "c"]} | changes


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def key_file(folder: Path, limits: str = "", key: str = "k", name: str = "team") -> Path:
    """Add a key to the folder's keys file."""
    path = folder / "keys.toml"
    digest = hashlib.sha256(key.encode()).hexdigest()
    with path.open("a") as out:
        out.write(f'[{name}]\nsha256 = "{digest}"\n{limits}\n')
    return path


@contextlib.contextmanager
def live(folder: Path, **settings: Any) -> Iterator[Live]:
    """Run a server for the block."""
    port = free_port()
    given = json.dumps({"port": port} | settings, default=str)
    log = folder / "server.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "support.faulty", given],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stderr=out,
        )
    server = Live(port, process, log)
    try:
        wait_until(lambda: _ready(server), 60)
        yield server
    finally:
        process.kill()
        process.wait(10)


def _ready(server: Live) -> bool:
    assert server.process.poll() is None, server.log.read_text()
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{server.base}/readyz").status_code == 200
    return False


def wait_until(condition: Any, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
