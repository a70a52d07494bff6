"""What a warm-up chooses by measurement, and that no score changes by it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.models import FLOAT32, bi_encoder, cross_encoder
from support.texts import LONG, ODD, PLAIN

from reranker.backends import autotune as warmup
from reranker.backends.autotune import Probe, difference, tune
from reranker.backends.calibration_texts import passages
from reranker.backends.cpu_bert import prepacked_linear as packing
from reranker.backends.device import DeviceConfig, choose_device
from reranker.backends.variants import ExecutionVariants
from reranker.scheduling.scheduler import BatchScheduler
from reranker.scheduling.workers import IntraOpThreads
from reranker.types import RequestContext

Checkpoint = Callable[[str], Path]
BUDGETS = (1024, 2048, 4096, 8192)


class Timed:
    """A model whose batches take as long as the test says, on a clock that only they move.

    Args:
        seconds: of a batch, by the way it is run and its tokens.
        ways: how it can be run.
        answers: what each way returns.
    """

    name = "timed"

    def __init__(
        self,
        seconds: Callable[[str, int], float],
        ways: tuple[str, ...] = ("sdpa",),
        answers: dict[str, float] | None = None,
        budget: int = 4096,
    ) -> None:
        self.now = 0.0
        self.seconds = seconds
        self.names = ways
        self.answers = answers or {}
        self.way = ways[0]
        self.backend, self.keeps_state = "torch", False
        self.ran: list[tuple[str, int]] = []
        self.scheduler: BatchScheduler[Any, Any] = BatchScheduler(
            "timed", lambda batch: batch, len, budget
        )

    @property
    def ways(self) -> Any:
        exported = tuple(name for name in self.names if name.startswith("openvino"))
        backend = self.way if self.way in exported else self.backend
        return SimpleNamespace(
            all=self.all, exported=exported, backend=backend, keeps_state=self.keeps_state
        )

    def all(self) -> dict[str, Callable[[], None]]:
        return {name: lambda name=name: setattr(self, "way", name) for name in self.names}

    def probe(self, count: int, length: int) -> Probe:
        def run() -> np.ndarray:
            self.ran.append((self.way, count * length))
            self.now += self.seconds(self.way, count * length)
            return np.full(count, self.answers.get(self.way, 0.0), np.float32)

        return run


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def run(model: Timed, budgets: tuple[int, ...] = BUDGETS, **options: Any) -> Any:
        monkeypatch.setattr(time, "perf_counter", lambda: model.now)
        made = tune(model, "float32", budgets, **options)
        monkeypatch.undo()
        return made

    return run


def per_token(costs: dict[int, float]) -> Callable[[str, int], float]:
    return lambda way, tokens: tokens * costs.get(tokens, 1.0) * 1e-6


def test_the_budget_that_is_fastest_a_token_is_taken(tuned: Callable[..., Any]) -> None:
    model = Timed(per_token({1024: 1.3, 2048: 1.0, 4096: 1.2, 8192: 1.4}))
    made = tuned(model)
    assert made.token_budget == model.scheduler.config.max_batch_tokens == 2048
    assert made.rates["2048 tokens"] == pytest.approx(1e6)


def test_what_is_hardly_faster_leaves_the_budget_as_it_is(tuned: Callable[..., Any]) -> None:
    costs = {1024: 0.97, 2048: 1.0, 4096: 1.01, 8192: 0.98}
    assert tuned(Timed(per_token(costs))).token_budget == 4096


def test_of_others_as_fast_the_nearest_to_the_default_is_taken(tuned: Callable[..., Any]) -> None:
    costs = {1024: 1.0, 2048: 1.02, 4096: 1.5, 8192: 1.6}
    assert tuned(Timed(per_token(costs))).token_budget == 2048


@pytest.mark.parametrize(("seconds_a_token", "small"), [(1e-5, 2000), (1e-3, 20)])
def test_what_one_thread_does_soon_is_small(
    tuned: Callable[..., Any], seconds_a_token: float, small: int
) -> None:
    model = Timed(lambda way, tokens: tokens * seconds_a_token)
    tuned(model)
    assert model.scheduler.small == pytest.approx(small, abs=1)


def test_a_slow_machine_is_not_held_up(tuned: Callable[..., Any]) -> None:
    model = Timed(per_token({}), ways=("sdpa", "eager"))
    model.seconds = lambda way, tokens: tokens * 1e-3
    made = tuned(model, seconds=1.0)
    assert model.now <= 2  # half a second for the second way, and one for sizes
    assert (made.way, made.token_budget) == ("sdpa", 4096)


def test_where_time_is_short_and_more_was_still_better_the_default_stays(
    tuned: Callable[..., Any],
) -> None:
    model = Timed(lambda way, tokens: tokens * (2e-4 if tokens < 2000 else 1e-4))
    assert tuned(model).token_budget == 4096
    worse = Timed(lambda way, tokens: tokens * (1e-4 if tokens < 2000 else 2e-4))
    assert tuned(worse).token_budget == 1024


def test_a_faster_way_is_taken_and_used_afterwards(tuned: Callable[..., Any]) -> None:
    model = Timed(lambda way, tokens: tokens * {"sdpa": 2e-6, "eager": 1e-6}[way])
    model.names = ("sdpa", "eager")
    assert tuned(model).way == model.way == "eager"
    assert ("sdpa", 4096) not in model.ran, "sizes are compared on the way that was chosen"


def test_a_way_that_answers_otherwise_is_left_out(
    tuned: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    model = Timed(lambda way, tokens: tokens * {"sdpa": 2e-6, "eager": 1e-6}[way])
    model.names, model.answers = ("sdpa", "eager"), {"sdpa": 1.0, "eager": 1.01}
    with caplog.at_level(logging.WARNING):
        assert tuned(model).way == model.way == "sdpa"
    assert "eager is left out" in caplog.text


def test_a_way_or_size_that_fails_is_left_out(
    tuned: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    def seconds(way: str, tokens: int) -> float:
        if way == "eager":
            raise NotImplementedError("no such kernel")
        if tokens > 4000:
            raise MemoryError("out of memory")
        return tokens * (2e-6 if tokens < 2000 else 1e-6)

    model = Timed(seconds, ways=("sdpa", "eager"))
    with caplog.at_level(logging.WARNING):
        made = tuned(model)
    assert (made.way, made.token_budget) == ("sdpa", 2048)
    assert "no such kernel" in caplog.text


def test_no_size_is_tried_again_that_did_not_fit_before(tuned: Callable[..., Any]) -> None:
    model = Timed(per_token({8192: 0.1}), budget=2048)
    model.scheduler.stats = replace(model.scheduler.stats, halvings=1)
    assert tuned(model).token_budget <= 2048
    assert max(tokens for _, tokens in model.ran) <= 2048


def test_an_export_of_a_slow_network_is_timed_however_long_it_takes(
    tuned: Callable[..., Any],
) -> None:
    model = Timed(lambda way, tokens: tokens * {"sdpa": 0.1, "eager": 0.01, "openvino": 0.05}[way])
    model.names = ("sdpa", "eager", "openvino")
    made = tuned(model, seconds=1.0)
    assert made.way == "openvino"
    assert "eager" not in made.rates


@pytest.mark.parametrize(("cost", "way"), [(0.85, "sdpa"), (0.75, "openvino int8")])
def test_int8_must_win_clearly(tuned: Callable[..., Any], cost: float, way: str) -> None:
    model = Timed(lambda way, tokens: tokens * {"sdpa": 1e-5, "openvino int8": cost * 1e-5}[way])
    model.names = ("sdpa", "openvino int8")
    assert tuned(model).way == way


def two_lanes(model: Timed, monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    """Let a model do two batches at a time, twice the work in less than twice the time."""
    model.scheduler = BatchScheduler("timed", lambda batch: batch, len, 4096, IntraOpThreads(2))

    def at_once(self: IntraOpThreads, count: int, run: Probe) -> None:
        start = model.now
        run()
        if count == 2:
            model.now = start + (model.now - start) * 2 / gain

    monkeypatch.setattr(IntraOpThreads, "at_once", at_once)


@pytest.mark.parametrize(("gain", "lanes"), [(1.5, 2), (0.98, 2), (0.8, 1)])
def test_two_batches_at_a_time_are_taken_unless_that_is_slower(
    tuned: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, gain: float, lanes: int
) -> None:
    model = Timed(per_token({}))
    two_lanes(model, monkeypatch, gain)
    made = tuned(model)
    assert made.lanes == model.scheduler.config.concurrent_batches == lanes


@pytest.mark.parametrize(("cost", "way"), [(0.85, "sdpa"), (0.6, "openvino")])
def test_ways_are_compared_as_they_are_used(
    tuned: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, cost: float, way: str
) -> None:
    model = Timed(lambda way, tokens: tokens * {"sdpa": 1e-5, "openvino": cost * 1e-5}[way])
    model.names = ("sdpa", "openvino")
    two_lanes(model, monkeypatch, gain=1.2)  # of torch, whose batches need not wait in turn
    assert tuned(model).way == way


@pytest.mark.parametrize("reason", [{"backend": "openvino"}, {"keeps_state": True}])
def test_some_networks_run_one_batch_at_a_time(
    tuned: Callable[..., Any], reason: dict[str, Any]
) -> None:
    model = Timed(per_token({}))
    vars(model).update(reason)
    model.scheduler = BatchScheduler("timed", lambda batch: batch, len, 4096, IntraOpThreads(2))
    assert tuned(model).lanes == 1
    assert "lanes: 2" not in tuned(model).rates


def test_a_given_budget_is_not_measured() -> None:
    assert choose_device("cpu", max_batch_tokens=300).budgets == ()
    assert choose_device("cpu", autotune=False).budgets == ()
    assert 4096 in choose_device("cpu").budgets


def test_a_given_kernel_is_used_and_not_measured(checkpoint: Checkpoint) -> None:
    eager = replace(FLOAT32, attn_implementation="eager", cpu_weight_layout="plain")
    for model in (
        cross_encoder(checkpoint("bert-cross"), eager),
        bi_encoder(checkpoint("bert-mean"), eager),
    ):
        assert model.variants.attention == "eager"
        assert list(model.variants.all()) == ["eager"]
        tune(model, "float32", BUDGETS)
        assert model.variants.attention == "eager"
        model.close()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_score_does_not_depend_on_what_was_chosen(checkpoint: Checkpoint, dtype: str) -> None:
    hardware = DeviceConfig("cpu", dtype, 2, 512)
    tolerance = warmup.TOLERANCE[dtype]
    texts = [*PLAIN, *ODD, LONG]
    for name in ("bert-cross", "xlmr-cross"):
        model = cross_encoder(checkpoint(name), hardware)
        # The answer without rounding, of the weights as they are rounded: two ways of bfloat16 may
        # be off to either side.
        network: Any = model.variants.network
        network.double()
        wanted = model.score("paris", texts, max_tokens=50, context=RequestContext()).logits
        network.to(hardware.torch_dtype)
        packed = ["sdpa, packed weights"] if packing.works(hardware.torch_dtype) else []
        assert list(model.variants.all()) == ["sdpa", "eager", *packed]
        for budget in (256, 8192):
            for use in model.variants.all().values():
                use()
                model.scheduler.config.max_batch_tokens = budget
                found = model.score("paris", texts, max_tokens=50, context=RequestContext()).logits
                assert difference(found, wanted) <= tolerance
        model.close()
    model = bi_encoder(checkpoint("bert-mean"), hardware)

    def encode() -> np.ndarray:
        return model.encode(
            texts, kind="document", max_tokens=None, tokens=False, context=RequestContext()
        ).vectors

    vectors = encode()
    for use in model.variants.all().values():
        use()
        assert difference(encode(), vectors) <= tolerance
    model.close()


def test_real_models_are_measured_in_a_moment_while_they_serve(checkpoint: Checkpoint) -> None:
    for model in (cross_encoder(checkpoint("bert-cross")), bi_encoder(checkpoint("bert-mean"))):
        start = time.monotonic()
        made = tune(model, "float32", BUDGETS)
        assert time.monotonic() - start < 20  # about one, on a machine that does nothing else
        assert made.way in model.variants.all()
        assert made.token_budget == model.scheduler.config.max_batch_tokens
        assert str(made.token_budget) in str(made)
        model.warm()  # the worker is free again
        model.close()


def test_passages_differ_and_are_long_enough_for_a_trial() -> None:
    made = passages(64)
    assert len(set(made)) == 64
    assert all(len(text.split()) > 128 for text in made)


@pytest.mark.parametrize(
    ("rope", "kept"),
    [("default", False), ("dynamic", True), ({"full": "default", "local": "longrope"}, True)],
)
def test_positions_that_stretch_with_the_text_are_state(rope: object, kept: bool) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Identity())
    assert not ExecutionVariants("plain", network).keeps_state
    network[1].rope_type = rope  # type: ignore[assignment]
    assert ExecutionVariants("rotary", network).keeps_state is kept
