"""The pipe to a worker in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.peers import FAKE, POOLS

from lab.peers.process import PeerFailure, PeerProcess, environment

PYTHON = Path(sys.executable)


@pytest.fixture
def process():
    with PeerProcess(PYTHON, FAKE, threads=1, timeout=20) as process:
        yield process


def load(process, loaded, role="cross-encoder", **options):
    answer = process.ask("load", **(loaded | {"role": role, "dtype": "float32"}), options=options)
    process.ask("texts", pools=POOLS)
    return answer


def test_a_worker_loads_runs_and_times_itself(process, loaded) -> None:
    answer = load(process, loaded)
    assert set(answer["versions"]) >= {"python", "pip"}
    assert answer["settings"] == {"dtype": "float32"}
    run = process.ask("run")
    assert [[round(score, 3) for score in pool] for pool in run["scores"]] == [
        [0.667, 0.333, 0.0],
        [0.5, 0.0],
    ]
    assert run["seconds"] == pytest.approx(sum(run["each"]))
    assert len(run["each"]) == len(POOLS)


def test_vectors_become_cosines_with_the_query(process, loaded) -> None:
    load(process, loaded, role="bi-encoder")
    scores = process.ask("run")["scores"]
    assert scores[1] == pytest.approx([1.0, 1.0])  # texts of one length, by the fake's vectors
    assert scores[0][0] < 1


def test_an_error_is_told_and_the_worker_lives_on(process, loaded) -> None:
    with pytest.raises(PeerFailure, match="nothing is loaded"):
        process.ask("run")
    with pytest.raises(PeerFailure, match="ValueError: no such model"):
        load(process, loaded, fail="load")
    assert load(process, loaded)["ok"]


def test_a_worker_that_dies_says_why(process, loaded) -> None:
    load(process, loaded, fail="die")
    with pytest.raises(PeerFailure, match="ended during run: gone for good"):
        process.ask("run")
    with pytest.raises(PeerFailure, match="ended during run"):
        process.ask("run")


def test_a_worker_that_hangs_is_given_up(tmp_path) -> None:
    hanging = tmp_path / "hanging.py"
    hanging.write_text("import time\nPACKAGES = ()\ndef load(wanted):\n    time.sleep(60)\n")
    with (
        PeerProcess(PYTHON, hanging, threads=1, timeout=1) as process,
        pytest.raises(PeerFailure, match="no answer to load within 1 seconds"),
    ):
        process.ask("load")


def test_threads_and_network_are_bound(monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("RERANKER_DTYPE", "float32")
    found = environment(3)
    assert found["OMP_NUM_THREADS"] == found["RAYON_NUM_THREADS"] == "3"
    assert found["HF_HUB_OFFLINE"] == "1"
    assert "PYTHONPATH" not in found
    assert "RERANKER_DTYPE" not in found
