"""The parts of the Ray path that need no Ray; the whole is tried in tests/e2e."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fakes import FakeModels

from reranker.engine import Reranker
from reranker.errors import MissingExtra
from reranker.settings import Settings
from reranker_bench.comparison import ray_workers as ray_path
from reranker_bench.comparison.plan import Plan
from reranker_bench.comparison.records import record_from
from reranker_bench.data.collections import read_collections


def test_without_ray_the_extra_is_named(compare, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(ray_path.importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match="extra 'ray'"):
        compare(ray_workers=2)


def test_a_worker_ranks_like_the_single_process(
    compare, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(methods=("fast", "best"))
    rows = (tmp_path / "out/records.jsonl").read_text("utf-8").splitlines()
    single = {record.task: record.documents for record in map(record_from, map(json.loads, rows))}
    collections = read_collections([str(dataset)])
    plan = Plan(("fast", "best"), "all-MiniLM-L6-v2", "minilm-l6-cross-encoder")
    monkeypatch.setattr(
        "reranker.engine.Reranker", lambda settings: Reranker(settings, models=FakeModels())
    )
    worker = ray_path.RayWorker(plan, {each.name: each for each in collections}, Settings())
    batch = {"tasks": ray_path._by_query(list(plan.tasks(collections)))}
    assert len(batch["tasks"]) == 4
    made = worker(batch)
    found = [record_from(json.loads(text)) for text in made["record"]]
    assert {record.task: record.documents for record in found} == single
    assert json.loads(made["about"][0])["models"]["bi-encoder"]["id"] == "fake-bi"
