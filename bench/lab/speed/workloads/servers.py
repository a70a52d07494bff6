"""Servers under test, each in a process of its own on a free port of the loopback."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.peers.environments import PEERS, interpreter
from lab.peers.process import environment
from lab.peers.worker import peak_mb
from lab.speed.options import RaceOptions
from reranker.hub.catalog import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER
from reranker_bench.speed.http_client import Address

HOST = "127.0.0.1"
LOOPBACK = Address(HOST, 80)
MODEL = "measured"
PRELOADED = [DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER, MODEL]
"""Loaded and measured before the server is ready, as what one serves should be."""

INFINITY = next(peer for peer in PEERS if peer.name == "infinity-emb")


class ServerFailure(RuntimeError):
    """A server did not become ready; has the last line it wrote."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> Address:
        """Return where it listens."""
        return Address(HOST, self.port)

    @property
    def peak_mb(self) -> float | None:
        """Return its peak of memory since it started, in MiB."""
        return peak_mb(self.process.pid)


@contextlib.contextmanager
def own(
    folder: Path,
    cross: Path,
    options: RaceOptions,
    dtype: str = "auto",
    cache_mb: int = 0,
    backend: str | None = None,
) -> Iterator[Server]:
    """Run our server, with a checkpoint named "measured" beside the embedded models.

    Args:
        folder: where its config file and log go.
        cross: the checkpoint.
        options: device and threads.
        dtype: dtype.
        cache_mb: memory for results.
        backend: that runs the models; the options' own if None.
    """
    engine = {
        "offline": True,
        "device": options.device,
        "dtype": dtype,
        "cache_mb": cache_mb,
        "backend": backend or options.backend,
        "threads": options.threads,
    }
    config = folder / "reranker.toml"
    config.write_text(_config(engine, cross), "utf-8")
    command = [sys.executable, "-m", "reranker_cli", "serve", "--config", str(config)]
    with _running(command, folder / "server.log", "/readyz", options) as server:
        yield server


def _config(engine: Mapping[str, object], cross: Path) -> str:
    """Return a config file for engine settings and the measured checkpoint."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in engine.items()]
    return "\n".join(
        [
            "[engine]",
            *lines,
            "[server]",
            'log_level = "warning"',
            "model_load_timeout_ms = 300000",  # the first use may export the checkpoint
            f"preload = {json.dumps(PRELOADED)}",
            "[cross-encoders]",
            f"{MODEL} = {json.dumps(str(cross))}",
        ]
    )


@contextlib.contextmanager
def infinity(
    folder: Path, cross: Path, options: RaceOptions, dtype: str
) -> Iterator[Server | None]:
    """Run infinity's server with its defaults; yields None where it is not installed."""
    python = interpreter(INFINITY, options.environments)
    if python is None:
        yield None
        return
    command = [
        *(str(python.with_name("infinity_emb")), "v2", "--model-id", str(cross)),
        *("--served-model-name", MODEL, "--engine", "torch", "--dtype", dtype),
        *("--device", options.device, "--no-trust-remote-code", "--host", HOST),
    ]
    with _running(command, folder / "infinity.log", "/health", options) as server:
        yield server


@contextlib.contextmanager
def _running(
    command: Sequence[str], log: Path, ready: str, options: RaceOptions, timeout: float = 300
) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = int(free.getsockname()[1])
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment(options.threads),
        )
    try:
        _await_ready(process, f"http://{HOST}:{port}{ready}", log, timeout)
        yield Server(port, process)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: subprocess.Popen[bytes], url: str, log: Path, timeout: float) -> None:
    end = time.monotonic() + timeout
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            if urllib.request.urlopen(url, timeout=5).status == 200:
                return
        time.sleep(0.2)
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    raise ServerFailure(lines[-1] if lines else "it lines nothing")
