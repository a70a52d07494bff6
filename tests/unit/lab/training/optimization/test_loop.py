import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lab.training.corpus.prepare import Material
from lab.training.optimization import loop
from lab.training.optimization.dev import gain
from lab.training.optimization.lists import ListSource
from lab.training.optimization.state import TrainingState, new_state
from reranker.families.split_cross_encoder.network import SplitBert

NewModel = Callable[[], SplitBert]
Run = Callable[[Path, int], TrainingState]


@pytest.fixture
def run(new_model: NewModel, material: Material, idf: np.ndarray) -> Run:
    def train(folder: Path, steps: int) -> TrainingState:
        state = new_state(new_model(), 1e-3)
        plan = loop.TrainingPlan(loop.TrainingBudget(steps=steps), warmup=1, lists=2, chunks=2)
        source = ListSource([material], idf, seed=1)
        loop.train(state, source, [material], plan, folder, lambda _: None)
        return state

    return train


@pytest.fixture(autouse=True)
def tiny_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "write_overlay", lambda _, folder: (folder / "exported").touch())


def test_nothing_is_exported_before_the_first_step(tmp_path: Path, run: Run) -> None:
    seen: list[bool] = []
    step = loop.train_step

    def watched(*given: Any) -> Any:
        seen.append((tmp_path / "exported").exists())
        return step(*given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "train_step", watched)
        run(tmp_path, 2)
    assert seen == [False, False]
    assert (tmp_path / "exported").exists()


def test_training_changes_all_but_what_is_the_bases_own(
    tmp_path: Path, run: Run, new_model: NewModel
) -> None:
    before = {n: p.clone() for n, p in new_model().named_parameters()}
    model = run(tmp_path, 3).model
    after = dict(model.named_parameters())
    for name, value in before.items():
        frozen = model.frozen(name) or name.endswith("key.bias")
        assert torch.equal(value, after[name]) <= frozen, name
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [e["step"] for e in entries] == [0, 0, 3]
    assert ["dev" in e for e in entries] == [False, True, True]


def test_a_restored_run_goes_on_where_it_stopped(
    tmp_path: Path, run: Run, new_model: NewModel, material: Material, idf: np.ndarray
) -> None:
    state = run(tmp_path, 2)
    other = new_state(new_model(), 1e-3)
    other.restore(tmp_path / "checkpoint.pt")
    assert other.step == state.step == 2
    source, plan = (
        ListSource([material], idf, seed=1),
        loop.TrainingPlan(loop.TrainingBudget(steps=4)),
    )
    for one in (state, other):
        loop.train_step(one, source, plan, 0.5)
    assert torch.equal(state.model.gates, other.model.gates)
    assert torch.equal(state.average["gates"], other.average["gates"])


def test_the_budget_is_spent_by_whichever_bound_comes_first(new_model: NewModel) -> None:
    state = new_state(new_model(), 1e-3)
    state.step, state.seconds = 5, 30.0
    assert loop.TrainingBudget(steps=10).progress(state) == pytest.approx(0.5)
    assert loop.TrainingBudget(minutes=2, steps=50).progress(state) == pytest.approx(0.25)
    assert loop.TrainingBudget(minutes=0.1).progress(state) == 1.0


def test_ties_count_against_the_relevant_document() -> None:
    assert gain(np.array([1.0, 0.0])) == 1.0
    assert gain(np.array([1.0, 1.0])) == pytest.approx(1 / np.log2(3))
    assert gain(np.zeros(12)) == 0.0
