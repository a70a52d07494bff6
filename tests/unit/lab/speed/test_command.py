"""The command from its arguments to its files."""

from __future__ import annotations

import json

import pytest
import typer
from support.peers import FAKE
from typer.testing import CliRunner

from lab.peers import environments
from lab.peers.environments import Peer
from lab.speed.__main__ import race
from lab.speed.results import Row
from lab.speed.workloads import encoders


@pytest.fixture
def run(monkeypatch, checkpoint, tmp_path):
    peers = (
        Peer("sentence-transformers", "pip", FAKE),
        Peer("absent", "no-such-package", FAKE),
    )
    monkeypatch.setattr(environments, "PEERS", peers)
    monkeypatch.setattr(encoders, "OWN", Peer("reranker", "pip", FAKE))
    monkeypatch.setattr(encoders, "minilm", lambda options: checkpoint("bert-cross"))

    def run(*arguments: str):
        app = typer.Typer()
        app.command()(race)
        return CliRunner().invoke(
            app,
            ["--data", str(tmp_path), "--cache", str(tmp_path), *arguments],
            env={"COLUMNS": "200"},
        )

    return run


def test_a_workload_from_end_to_end(run, tmp_path) -> None:
    out = tmp_path / "out"
    arguments = ("--workloads", "w1", "--repeats", "3", "--documents", "4", "--threads", "1")
    done = run(*arguments, "--output", str(out))
    assert done.exit_code == 0, done.output
    assert "W1 cross-encoder" in done.output
    assert "absent float32: not installed, see `make speed-peers`" in done.output
    assert "x sentence-transformers float32 (" in done.output
    found = json.loads((out / "speed.json").read_text("utf-8"))["workloads"]["w1"]
    states = {row["name"]: row["state"] for row in found["rows"]}
    assert states["absent"] == "not installed"
    assert states["reranker"] == states["sentence-transformers"] == "measured"
    assert found["settings"]["inputs"] == 4
    assert found["settings"]["data"] == "sample"
    assert found["machine"]["cores"] >= 1
    assert all(len(row["rates"]) == 3 for row in found["rows"] if row["rate"])
    assert (out / "speed.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workloads", "w7"), "unknown workload 'w7'"),
        (("--peers", "tei"), "unknown peer 'tei'"),
        (("--clients", "many"), "write whole numbers"),
        (("--backend", "cuda"), "write one of torch, openvino, auto"),
        (("--environment", "x"), "write PEER=FOLDER"),
    ],
)
def test_wrong_input_exits_two(run, arguments, message) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_a_file_of_somebody_else_is_left_alone(run, tmp_path) -> None:
    (tmp_path / "speed.json").write_text("{}")
    done = run("--workloads", "w1", "--output", str(tmp_path))
    assert done.exit_code == 2
    assert (tmp_path / "speed.json").read_text() == "{}"


def test_a_side_that_disagrees_exits_one(run, tmp_path, monkeypatch) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(FAKE.read_text().replace('get("off", 0.0)', 'get("off", 0.3)'))
    monkeypatch.setattr(encoders, "OWN", Peer("reranker", "pip", wrong))
    arguments = ("--workloads", "w1", "--repeats", "1", "--documents", "3")
    done = run(*arguments, "--output", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert "disagrees, scores differ by 0.3, allowed is" in done.output


def test_ours_is_held_against_its_equals() -> None:
    rows = [
        Row("sentence-transformers", "float32"),
        Row("sentence-transformers", "bfloat16"),
        Row("reranker", "bfloat16"),
        Row("reranker", "float32"),
        Row(encoders.WITH_OPENVINO, "int8"),
    ]
    theirs = ("sentence-transformers float32", "sentence-transformers bfloat16")
    assert encoders.comparisons(rows) == [
        *(("reranker bfloat16", rival) for rival in theirs),
        ("reranker float32", theirs[0]),
        *(("reranker[openvino] int8", rival) for rival in theirs),
    ]
