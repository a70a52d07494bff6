"""Where the time goes."""

from __future__ import annotations

import time

import pytest
import torch
from support.fakes import FakeModels

from lab.speed.profile import profile
from lab.speed.profile.operations import kind_of, operations
from lab.speed.profile.probe import Probe
from lab.speed.workloads.texts import Pool
from reranker.engine import Reranker
from reranker.settings import Settings


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::addmm", "linear"),
        ("mkldnn::_linear_pointwise", "linear"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::bmm", "attention"),
        ("aten::native_layer_norm", "other"),
    ],
)
def test_operations_have_a_kind(name, kind) -> None:
    assert kind_of(name) == kind


def test_operations_are_counted_on_this_thread() -> None:
    layer = torch.nn.Linear(64, 64)
    with operations() as seconds:
        layer(torch.ones(64, 64))
    assert seconds["linear"] > 0


class Runner:
    def __init__(self) -> None:
        self._run = lambda items: time.sleep(0.02) or items
        self.token_budget = 7
        self.lanes = 2

    def __call__(self, items, call):
        time.sleep(0.01)
        return self._run(items)


class Model:
    def __init__(self) -> None:
        self.runner = Runner()


def test_a_probe_tells_waiting_from_work_and_leaves_nothing_behind() -> None:
    model = Model()
    runner, run = model.runner, model.runner._run
    with Probe([model, object()]) as probe:
        assert model.runner([1], None) == [1]
        assert model.runner.token_budget == 7
        assert runner.lanes == 1, "seconds of batches that run at a time do not add up"
        assert probe.calls > probe.network >= 0.02
        probe.reset()
        assert probe.calls == 0
    assert model.runner is runner
    assert runner._run is run
    assert runner.lanes == 2


def test_seconds_are_split_by_hand() -> None:
    seconds = {"total": 10, "tokenise": 1, "calls": 8, "network": 6, "pooling": 0.5, "JSON": 0.25}
    # Under the profiler the network took 12 seconds, so each operation counts for half.
    parts = profile._split(seconds, {"linear": 6.0, "attention": 2.0}, watched=12.0)
    assert parts == {
        "tokenise": 1,
        "wait": 2,
        "linear": 3,
        "attention": 1,
        "pooling": 0.5,
        "rest of network": 1.5,
        "stage maths": 1,
        "JSON": 0.25,
    }
    assert list(parts) == list(profile.PARTS)


def test_every_method_is_profiled() -> None:
    engine = Reranker(Settings(), models=FakeModels())
    pools = [Pool("a b", ("a c", "b", "d"))]
    found = profile.profile(engine, pools, repeats=2, observe=lambda _: None)
    assert list(found) == list(profile.METHODS)
    assert all(list(each["parts_ms"]) == list(profile.PARTS) for each in found.values())
