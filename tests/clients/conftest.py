"""A real server on a free port, and the order it should answer in.

Clients talk to 127.0.0.1 alone. The server runs from the project's own environment, the clients
from whichever this is: `make test` has the light ones, `make test-clients` all of them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.clients import DOCUMENTS, KEY, MODEL, QUERY, call

ROOT = Path(__file__).resolve().parents[2]
RERANKER = Path(os.environ.get("RERANKER_COMMAND", ROOT / ".venv" / "bin" / "reranker"))
START_SECONDS = 120

CONFIG = """
[engine]
offline = true
backend = "torch"  # the transcripts are those of the base install

# Names that clients of other services send, and what serves them here.
[cross-encoders]
"rerank-v3.5" = "minilm-l6-cross-encoder"
"rerank-2.5" = "minilm-l6-cross-encoder"
"fireworks/minilm-l6-cross-encoder" = "minilm-l6-cross-encoder"
"BAAI/bge-reranker-v2-m3" = "minilm-l6-cross-encoder"
"@cf/baai/bge-reranker-base" = "minilm-l6-cross-encoder"

[bi-encoders]
"text-embedding-3-small" = "all-MiniLM-L6-v2"
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let clients warn as they like; they are not ours to mend."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def local(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a client reached for {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start servers; each returns its base address once it is ready."""
    if not RERANKER.exists():
        pytest.skip(f"no server to start: {RERANKER}")
    with ExitStack() as stack:

        def launch(*lines: str) -> str:
            folder = tmp_path_factory.mktemp("server")
            config = folder / "config.toml"
            config.write_text(CONFIG + "\n[server]\n" + "\n".join(lines) + "\n")
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            log = stack.enter_context((folder / "log").open("w"))
            environment = {k: v for k, v in os.environ.items() if not k.startswith("RERANKER_")}
            process = subprocess.Popen(
                [RERANKER, "serve", "--port", str(port), "--config", str(config)],
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
            )
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            base = f"http://127.0.0.1:{port}"
            _await(base, process, folder / "log")
            return base

        yield launch


def _await(base: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{base}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def base(launch: Callable[..., str]) -> str:
    """Return the address of a server that is open to all."""
    return launch()


@pytest.fixture(scope="session")
def keyed(launch: Callable[..., str]) -> str:
    """Return the address of a server that wants a key."""
    return launch(f'api_keys = ["{KEY}"]')


@pytest.fixture(scope="session")
def order(base: str) -> list[int]:
    """Return the order that the v3 endpoint puts the documents in, by the cross-encoder."""
    body = {
        "model": "all-MiniLM-L6-v2",
        "model_cross": MODEL,
        "method": "standard",
        "query": QUERY,
        "documents": DOCUMENTS,
    }
    status, answer = call(f"{base}/api/v3/inference/reranker", body)
    assert status == 200, answer
    return [result["index"] for result in answer["results"]]
