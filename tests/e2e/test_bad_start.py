"""A start that cannot succeed says why in one line and exits with a status other than 0."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent / "reranker"


def start(folder: Path, config: str = "", *arguments: str) -> list[str]:
    """Start the server, which must fail; return the lines that are not log lines."""
    (folder / "reranker.toml").write_text(config)
    command = [str(BIN), "serve", "--port", "0", "--config", "reranker.toml", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("reranker: ")]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("[server]\nport = 1\nprot = 2\n", "reranker.toml:3: server.prot: unknown setting"),
        ("[sever]\nport = 1\n", "reranker.toml:1: sever: unknown table"),
        ('[server]\n\ntimeout_ms = "long"\n', "reranker.toml:3: server.timeout_ms: "),
        ("[server\n", "reranker.toml:1: not valid TOML"),
        ("[engine]\ndtype = 'float8'\n", "reranker.toml:2: engine.dtype: "),
        ("[bi-encoders]\nours = 'nothing'\n", "'nothing' is no catalogued bi-encoder"),
        ("[bi-encoders]\nours = { pth = '/x' }\n", "unknown key 'pth'"),
        ("[engine]\nmodel = 'ours'\n[bi-encoders]\nours = '/nowhere'\n", "does not exist"),
        ("[engine]\nmodel = 'nope'\n", "unknown bi-encoder 'nope'"),
    ],
)
def test_a_wrong_config_names_file_line_and_key(config, expected, tmp_path):
    lines = start(tmp_path, config)
    assert len(lines) == 1
    assert expected in lines[0]


def test_a_missing_config_file_is_named(tmp_path):
    (line,) = start(tmp_path, "", "--config", "absent.toml")
    assert "absent.toml does not exist" in line


def test_a_port_in_use_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        (line,) = start(tmp_path, "", "--port", str(taken.getsockname()[1]))
    assert "is in use" in line


def test_corrupt_weights_are_named(tmp_path, checkpoint):
    shutil.copytree(checkpoint("bert-mean"), tmp_path / "broken")
    weights = tmp_path / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    config = "[engine]\nmodel = 'ours'\n[bi-encoders]\nours = './broken'\n"
    (line,) = start(tmp_path, config)
    assert "broken or incomplete" in line


def test_an_unknown_variable_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RERANKER_PROT", "1")
    (line,) = start(tmp_path)
    assert "RERANKER_PROT; did you mean RERANKER_PORT?" in line
