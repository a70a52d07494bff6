"""What goes wrong around a command is one line and a status, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reranker import errors
from reranker_cli import main as cli

FULL = Path("/dev/full")
BAD_INPUT = [
    # arguments, config file, status, what the line says
    (("serve",), '[server]\nlog_level = "loud"\n', 1, "server.log_level: no log level 'loud'"),
    (("serve",), "[server\n", 1, "not valid TOML"),
    (("models",), "[engine]\nmodle = 'x'\n", 1, "engine.modle: unknown setting"),
    (("rank", "q", "absent.txt"), "", 1, "absent.txt cannot be read: No such file"),
    (("rank", "q", "."), "", 1, ". cannot be read: Is a directory"),
    (("rank", "q", "latin.txt"), "", 1, "latin.txt is not UTF-8 text"),
    (("rank", "q", "text.txt", "--method", "bets"), "", 1, "unknown method 'bets'"),
    (("keys", "new", "team", "--file", "absent/keys.toml"), "", 1, "absent: no such folder"),
    (("keys", "new", "team", "--file", "."), "", 1, "Is a directory"),
    (("keys", "list", "--file", "text.txt"), "", 1, "text.txt"),
    (("keys", "revoke", "team", "--file", "absent.toml"), "", 1, "absent.toml"),
    (("compare", "--output", "text.txt"), "", 1, "text.txt: File exists"),
    (("compare", "--output", "out", "--dataset", "absent"), "", 2, "absent: no such folder"),
    (("compare", "--output", "out"), "[engine\n", 2, "not valid TOML"),
    (("tune", "--output", "p.json", "--dataset", "absent"), "", 2, "absent: no such folder"),
    (("tune", "--output", "p.json", "--threshold", "x"), "", 2, "write precision="),
    (("speed", "--url", "nowhere"), "", 2, "write an address like"),
    (("speed", "--url", "http://127.0.0.1:1"), "", 2, "127.0.0.1:1 gives no response"),
    (("speed", "--clients", "many"), "", 2, "write whole numbers"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "text.txt").write_text("one\ntwo\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process; return its status and the lines it wrote."""

    def run(*arguments: str) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["reranker", *arguments])
        status = cli.run(cli.app)
        return status, capsys.readouterr().err.splitlines()

    return run


@pytest.mark.parametrize(("arguments", "config", "status", "expected"), BAD_INPUT)
def test_bad_input_is_a_line_and_a_status(
    run, folder, monkeypatch, arguments, config, status, expected
) -> None:
    (folder / "config.toml").write_text(config)
    monkeypatch.setenv("RERANKER_CONFIG", "config.toml")
    found, lines = run(*arguments)
    assert found == status
    named = [line for line in lines if line.startswith("reranker: ")]
    assert len(named) == 1, lines
    assert expected in named[0]


def reranker(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    environ = {**os.environ, **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-m", "reranker", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
        timeout=120,
        **options,
    )


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_a_full_disk_is_a_line_and_a_status() -> None:
    with FULL.open("w") as out:
        done = reranker("methods", stdout=out)
    assert done.returncode == 1
    assert done.stderr == "reranker: standard output: No space left on device\n"


def test_a_closed_pipe_ends_the_command_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as out:
        done = reranker("methods", stdout=out)
    assert done.returncode == 1
    assert done.stderr == ""


def test_an_ascii_terminal_shows_escapes(folder) -> None:
    content = json.dumps({"a": {"sha256": "0" * 64, "models": ["caf\u00e9"]}})
    (folder / "keys.json").write_text(content)
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    arguments = ("keys", "list", "--file", "keys.json")
    done = reranker(*arguments, "--json", stdout=subprocess.PIPE, env=ascii_only)
    assert json.loads(done.stdout)[0]["models"] == ["caf\u00e9"]
    done = reranker(*arguments, stdout=subprocess.PIPE, env=ascii_only)
    assert done.returncode == 0
    assert "caf\\xe9" in done.stdout


def test_a_table_in_a_pipe_is_not_cut(folder) -> None:
    models = [f"organisation/model-{number}" for number in range(20)]
    (folder / "keys.json").write_text(json.dumps({"a": {"sha256": "0" * 64, "models": models}}))
    done = reranker("keys", "list", "--file", "keys.json", stdout=subprocess.PIPE)
    heading, row = done.stdout.splitlines()
    assert all(model in row for model in models)
    assert heading == heading.rstrip()


def test_an_error_of_the_engine_is_its_message_for_operators(capsys) -> None:
    def fail() -> None:
        raise errors.SettingsError("port 8000 is in use", detail="detail")

    assert cli.run(fail) == 1
    assert capsys.readouterr().err == "reranker: port 8000 is in use (detail)\n"


def test_a_broken_method_is_named_and_the_others_are_listed(run, monkeypatch, capsys) -> None:
    from reranker.pipeline import registry

    found, _ = registry.available()
    problem = errors.PluginError("method 'mine' does not import")
    monkeypatch.setattr(registry, "available", lambda: (found, (problem,)))
    monkeypatch.setattr(sys, "argv", ["reranker", "methods", "--json"])
    assert cli.run(cli.app) == 0
    out, err = capsys.readouterr()
    assert {"best", "fast", "optimal"} <= {row["method"] for row in json.loads(out)}
    assert err == "reranker: warning: method 'mine' does not import\n"
