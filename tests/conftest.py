"""What several kinds of tests share: tiny checkpoints, built once a session."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own RERANKER_* variables out of the tests."""
    for name in list(os.environ):
        if name.startswith("RERANKER_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def checked(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "unix"
        if host not in ("127.0.0.1", "::1", "localhost", "unix"):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked)
        yield


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build a tiny checkpoint by name, when it is first asked for; read-only for tests."""
    from support import checkpoints as make

    folder = tmp_path_factory.mktemp("checkpoints")
    built: dict[str, Path] = {}
    prompts = {"query": "query: ", "document": "passage: "}
    builders: dict[str, Callable[[Path], Path]] = {
        "bert": make.bert_network,
        "xlmr": make.xlmr_network,
        "bert-mean": lambda to: make.bi_encoder(get("bert"), to, "mean"),
        "bert-mean-prompts": lambda to: make.bi_encoder(get("bert"), to, "mean", prompts=prompts),
        "xlmr-cls": lambda to: make.bi_encoder(get("xlmr"), to, "cls"),
        "xlmr-cls-prompts": lambda to: make.bi_encoder(get("xlmr"), to, "cls", prompts=prompts),
        "m3": lambda to: make.add_heads(make.bi_encoder(get("xlmr"), to, "cls")),
        "m3-bin": lambda to: make.add_heads(make.to_bin(make.bi_encoder(get("xlmr"), to, "cls"))),
        "bert-cross": make.bert_cross_encoder,
        "xlmr-cross": make.xlmr_cross_encoder,
    }

    def get(name: str) -> Path:
        if name not in built:
            built[name] = builders[name](folder / name)
        return built[name]

    return get
