"""The command line: exit codes, messages, and the latter's file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.comparison import Failing, write_dataset
from support.fakes import FakeModels
from typer.testing import CliRunner

from reranker.engine import Reranker
from reranker.settings import Settings
from reranker_cli.main import app


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "tiny")


@pytest.fixture(autouse=True)
def _no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no plots, which takes seconds."""
    monkeypatch.setattr("reranker_bench.report.page.write_page", lambda report, folder: None)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    def make(engine: type[Reranker] = Reranker, *arguments: str):
        monkeypatch.setattr(
            "reranker_bench.comparison.experiment.new_engine",
            lambda *_: engine(Settings(), models=FakeModels()),
        )
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "400"})

    return make


def test_a_whole_comparison_exits_zero(run, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(Reranker, "compare", "--dataset", str(dataset), "-o", str(out))
    assert done.exit_code == 0, done.output
    assert "On tiny, take `" in done.output
    assert json.loads((out / "report.json").read_text("utf-8"))["status"] == "whole"


def test_a_failure_exits_one_and_is_told(run, dataset: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    done = run(Failing, "compare", "--dataset", str(dataset), "-o", out)
    assert done.exit_code == 1
    assert "failed: tiny, query q2, standard: InferenceError" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--methods", "fats"), "unknown method 'fats'; known methods: best, fast"),
        (("--methods", "fast,fast"), "--methods needs at least one method, and each once"),
        (("--methods", ""), "--methods needs at least one method"),
        (("--shard", "3/2"), "--shard 3/2: write i/n with i from 1 to n"),
        (("--split", "dev"), "dev.tsv: no such file"),
        (("--merge", "nowhere"), "nowhere holds no comparison"),
    ],
)
def test_wrong_input_exits_two(
    run, dataset: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    out = str(tmp_path / "out")
    done = run(Reranker, "compare", "--dataset", str(dataset), "-o", out, *arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_a_malformed_line_is_named(run, dataset: Path, tmp_path: Path) -> None:
    (dataset / "corpus.jsonl").write_text("{", "utf-8")
    done = run(Reranker, "compare", "--dataset", str(dataset), "-o", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "corpus.jsonl:1: not JSON" in done.output
    assert not (tmp_path / "out").exists()
