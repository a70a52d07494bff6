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

from reranker.backends.cpu_bert import prepacked_linear as packing
from reranker.backends.device import DeviceConfig, choose_device
from reranker.backends.torch_backend import TorchBackend
from reranker.backends.tuning import autotune as autotune_module
from reranker.backends.tuning.agreement import SAME_SCORES, TOLERANCE, difference
from reranker.backends.tuning.autotune import Probe, TuningResult, autotune
from reranker.backends.tuning.calibration_texts import passages
from reranker.backends.variants import ExecutionVariants
from reranker.errors import SettingsError
from reranker.scheduling.batch_runner import SchedulerConfig
from reranker.scheduling.scheduler import BatchScheduler
from reranker.scheduling.workers import IntraOpThreads
from reranker.types import RequestContext

Checkpoint = Callable[[str], Path]
BATCH_TOKENS = (1024, 2048, 4096, 8192)


class Timed:
    """A model whose batches take as long as the test says, on a clock that only they move.

    Args:
        seconds: of a batch, by the variant it is run in and its tokens.
        names: of the variants.
        outputs: what each variant returns.
    """

    name = "timed"

    def __init__(
        self,
        seconds: Callable[[str, int], float],
        names: tuple[str, ...] = ("sdpa",),
        outputs: dict[str, float] | None = None,
        max_batch_tokens: int = 4096,
    ) -> None:
        self.now = 0.0
        self.seconds = seconds
        self.names = names
        self.outputs = outputs or {}
        self.variant = names[0]
        self.backend, self.keeps_state = "torch", False
        self.ran: list[tuple[str, int]] = []
        self.scheduler = scheduler(max_batch_tokens)

    @property
    def variants(self) -> Any:
        exported = tuple(name for name in self.names if name.startswith("openvino"))
        backend = self.variant if self.variant in exported else self.backend
        return SimpleNamespace(
            all=self.all, exported=exported, backend=backend, keeps_state=self.keeps_state
        )

    def all(self) -> dict[str, Callable[[], None]]:
        return {name: lambda name=name: setattr(self, "variant", name) for name in self.names}

    def probe(self, count: int, length: int) -> Probe:
        def run() -> np.ndarray:
            self.ran.append((self.variant, count * length))
            self.now += self.seconds(self.variant, count * length)
            return np.full(count, self.outputs.get(self.variant, 0.0), np.float32)

        return run


def scheduler(
    max_batch_tokens: int = 4096, threads: IntraOpThreads | None = None
) -> BatchScheduler[Any, Any]:
    return BatchScheduler(
        "timed", lambda batch: batch, len, SchedulerConfig(max_batch_tokens), threads
    )


Tune = Callable[..., TuningResult]


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> Tune:
    def run(
        model: Timed, candidates: tuple[int, ...] = BATCH_TOKENS, **options: Any
    ) -> TuningResult:
        monkeypatch.setattr(time, "perf_counter", lambda: model.now)
        try:
            return autotune(model, candidates, **options)
        finally:
            monkeypatch.undo()

    return run


def per_token(costs: dict[int, float]) -> Callable[[str, int], float]:
    return lambda variant, tokens: tokens * costs.get(tokens, 1.0) * 1e-6


def test_the_batch_size_that_is_fastest_per_token_is_chosen(tuned: Tune) -> None:
    model = Timed(per_token({1024: 1.3, 2048: 1.0, 4096: 1.2, 8192: 1.4}))
    result = tuned(model)
    assert result.max_batch_tokens == model.scheduler.config.max_batch_tokens == 2048
    assert result.rates["2048 tokens"] == pytest.approx(1e6)


def test_what_is_hardly_faster_leaves_the_batch_size_as_it_is(tuned: Tune) -> None:
    costs = {1024: 0.97, 2048: 1.0, 4096: 1.01, 8192: 0.98}
    assert tuned(Timed(per_token(costs))).max_batch_tokens == 4096


def test_of_others_as_fast_the_nearest_to_the_default_is_taken(tuned: Tune) -> None:
    costs = {1024: 1.0, 2048: 1.02, 4096: 1.5, 8192: 1.6}
    assert tuned(Timed(per_token(costs))).max_batch_tokens == 2048


@pytest.mark.parametrize(("seconds_a_token", "small"), [(1e-5, 2000), (1e-3, 20)])
def test_what_one_thread_does_soon_is_not_worth_a_second(
    tuned: Tune, seconds_a_token: float, small: int
) -> None:
    model = Timed(lambda variant, tokens: tokens * seconds_a_token)
    tuned(model)
    assert model.scheduler.config.single_thread_tokens == pytest.approx(small, abs=1)


def test_a_slow_machine_is_not_held_up(tuned: Tune) -> None:
    model = Timed(per_token({}), names=("sdpa", "eager"))
    model.seconds = lambda variant, tokens: tokens * 1e-3
    result = tuned(model, seconds=1.0)
    assert model.now <= 2  # half a second for the second variant, and one for sizes
    assert (result.variant, result.max_batch_tokens) == ("sdpa", 4096)


def test_where_time_is_short_and_more_was_still_better_the_default_stays(
    tuned: Tune,
) -> None:
    model = Timed(lambda variant, tokens: tokens * (2e-4 if tokens < 2000 else 1e-4))
    assert tuned(model).max_batch_tokens == 4096
    worse = Timed(lambda variant, tokens: tokens * (1e-4 if tokens < 2000 else 2e-4))
    assert tuned(worse).max_batch_tokens == 1024


def test_a_faster_variant_is_chosen_and_used_afterwards(tuned: Tune) -> None:
    model = Timed(lambda variant, tokens: tokens * {"sdpa": 2e-6, "eager": 1e-6}[variant])
    model.names = ("sdpa", "eager")
    assert tuned(model).variant == model.variant == "eager"
    assert ("sdpa", 4096) not in model.ran, "sizes are compared on the variant that was chosen"


@pytest.mark.parametrize(("off", "chosen"), [(0.5e-4, "eager"), (5e-4, "sdpa")])
def test_a_variant_with_other_outputs_is_left_out(
    tuned: Tune, caplog: pytest.LogCaptureFixture, off: float, chosen: str
) -> None:
    model = Timed(lambda variant, tokens: tokens * {"sdpa": 2e-6, "eager": 1e-6}[variant])
    model.names, model.outputs = ("sdpa", "eager"), {"eager": off}
    with caplog.at_level(logging.DEBUG, logger="reranker"):
        assert tuned(model).variant == model.variant == chosen
    assert ("eager is left out, being off by" in caplog.text) is (chosen == "sdpa")


def test_a_variant_or_size_that_fails_is_left_out(
    tuned: Tune, caplog: pytest.LogCaptureFixture
) -> None:
    def seconds(variant: str, tokens: int) -> float:
        if variant == "eager":
            raise NotImplementedError("no such kernel")
        if tokens > 4000:
            raise MemoryError("out of memory")
        return tokens * (2e-6 if tokens < 2000 else 1e-6)

    model = Timed(seconds, names=("sdpa", "eager"))
    with caplog.at_level(logging.WARNING):
        result = tuned(model)
    assert (result.variant, result.max_batch_tokens) == ("sdpa", 2048)
    assert "no such kernel" in caplog.text


def test_no_size_is_tried_again_that_did_not_fit_before(tuned: Tune) -> None:
    def run(batch: list[str]) -> list[str]:
        if len(batch) > 1:
            raise MemoryError("out of memory")
        return batch

    model = Timed(per_token({8192: 0.1}))
    model.scheduler = BatchScheduler("timed", run, len, SchedulerConfig(4096))
    model.scheduler(["a" * 2048, "b" * 2048], RequestContext())
    model.scheduler.close()
    assert model.scheduler.config.max_batch_tokens == 2048
    assert tuned(model).max_batch_tokens <= 2048
    assert max(tokens for _, tokens in model.ran) <= 2048


def test_an_export_of_a_slow_network_is_timed_however_long_it_takes(
    tuned: Tune,
) -> None:
    model = Timed(
        lambda variant, tokens: tokens * {"sdpa": 0.1, "eager": 0.01, "openvino": 0.05}[variant]
    )
    model.names = ("sdpa", "eager", "openvino")
    result = tuned(model, seconds=1.0)
    assert result.variant == "openvino"
    assert "eager" not in result.rates


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16"])
@pytest.mark.parametrize("backend", ["auto", "torch", "openvino"])
def test_int8_is_never_offered_where_it_was_not_asked_for(dtype: str, backend: str) -> None:
    config = choose_device("cpu", dtype, backend)
    assert (config.int8, config.backend) == (False, backend)


def test_int8_that_was_asked_for_is_run_by_openvino_and_not_measured_against_torch() -> None:
    config = choose_device("cpu", "int8")
    assert (config.int8, config.backend) == (True, "openvino")
    assert config.dtype == choose_device("cpu").dtype  # of what is not computed in int8
    with pytest.raises(SettingsError, match="int8 needs the openvino backend") as caught:
        choose_device("cpu", "int8", "torch")
    assert caught.value.param == "dtype"


def test_rounding_that_is_ten_times_faster_is_not_chosen(tuned: Tune) -> None:
    model = Timed(lambda variant, tokens: tokens * {"sdpa": 1e-5, "openvino int8": 1e-6}[variant])
    model.names, model.outputs = ("sdpa", "openvino int8"), {"openvino int8": 0.1}
    assert tuned(model).variant == "sdpa"


def two_concurrent_batches(model: Timed, monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    """Let a model do two batches at a time, twice the work in less than twice the time."""
    model.scheduler = scheduler(threads=IntraOpThreads(2))

    def run_concurrently(self: IntraOpThreads, count: int, run: Probe) -> None:
        start = model.now
        run()
        if count == 2:
            model.now = start + (model.now - start) * 2 / gain

    monkeypatch.setattr(IntraOpThreads, "run_concurrently", run_concurrently)


@pytest.mark.parametrize(("gain", "batches"), [(1.5, 2), (0.98, 2), (0.8, 1)])
def test_two_batches_at_a_time_are_taken_unless_that_is_slower(
    tuned: Tune, monkeypatch: pytest.MonkeyPatch, gain: float, batches: int
) -> None:
    model = Timed(per_token({}))
    two_concurrent_batches(model, monkeypatch, gain)
    result = tuned(model)
    assert result.concurrent_batches == model.scheduler.config.concurrent_batches == batches


@pytest.mark.parametrize(("cost", "variant"), [(0.85, "sdpa"), (0.6, "openvino")])
def test_variants_are_compared_as_they_are_used(
    tuned: Tune, monkeypatch: pytest.MonkeyPatch, cost: float, variant: str
) -> None:
    model = Timed(lambda variant, tokens: tokens * {"sdpa": 1e-5, "openvino": cost * 1e-5}[variant])
    model.names = ("sdpa", "openvino")
    two_concurrent_batches(
        model, monkeypatch, gain=1.2
    )  # of torch, whose batches need not wait in turn
    assert tuned(model).variant == variant


@pytest.mark.parametrize("reason", [{"backend": "openvino"}, {"keeps_state": True}])
def test_some_networks_run_one_batch_at_a_time(tuned: Tune, reason: dict[str, Any]) -> None:
    model = Timed(per_token({}))
    vars(model).update(reason)
    model.scheduler = scheduler(threads=IntraOpThreads(2))
    assert tuned(model).concurrent_batches == 1
    assert "concurrent batches: 2" not in tuned(model).rates


def test_a_number_of_batch_tokens_that_is_set_is_not_measured() -> None:
    assert choose_device("cpu", max_batch_tokens=300).batch_token_candidates == ()
    assert choose_device("cpu", autotune=False).batch_token_candidates == ()
    assert 4096 in choose_device("cpu").batch_token_candidates


def test_a_kernel_that_is_set_is_used_and_not_measured(checkpoint: Checkpoint) -> None:
    eager = replace(FLOAT32, attn_implementation="eager", cpu_weight_layout="plain")
    for model in (
        cross_encoder(checkpoint("bert-cross"), eager),
        bi_encoder(checkpoint("bert-mean"), eager),
    ):
        assert model.variants.attention == "eager"
        assert list(model.variants.all()) == ["eager"]
        autotune(model, BATCH_TOKENS)
        assert model.variants.attention == "eager"
        model.close()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_variant_scores_within_the_tolerance_of_its_dtype(
    checkpoint: Checkpoint, dtype: str
) -> None:
    config = DeviceConfig("cpu", dtype, 2, 512)
    # Few digits are worth less still to a random network than to a trained one.
    tolerance = TOLERANCE[dtype] * (2 if dtype == "bfloat16" else 1)
    texts = [*PLAIN, *ODD, LONG]
    layout = ", packed weights" if packing.works(config.torch_dtype) else ""
    names = dict.fromkeys([f"sdpa{layout}", f"eager{layout}", "sdpa"])
    for name in ("bert-cross", "xlmr-cross"):
        model: Any = cross_encoder(checkpoint(name), config)
        assert list(model.variants.all()) == list(names)
        # The scores without rounding, of the weights as they are rounded: two variants of bfloat16
        # may be off to either side.
        model.variants.torch.unpack()
        model.model.network.double()
        expected = model.score("paris", texts, max_tokens=50, context=RequestContext()).logits
        model.model.network.to(config.torch_dtype)
        for max_batch_tokens in (256, 8192):
            model.scheduler.config = replace(
                model.scheduler.config, max_batch_tokens=max_batch_tokens
            )
            for use in model.variants.all().values():
                use()
                found = model.score("paris", texts, max_tokens=50, context=RequestContext()).logits
                assert difference(found, expected) <= tolerance
        model.close()
    model = bi_encoder(checkpoint("bert-mean"), config)

    def encode() -> np.ndarray:
        return model.encode(
            texts, kind="document", max_tokens=None, tokens=False, context=RequestContext()
        ).vectors

    vectors = encode()
    for use in model.variants.all().values():
        use()
        assert difference(encode(), vectors) <= tolerance
    model.close()


class Preference:
    """Stands in the timer's place and finds the candidate of a certain rank the fastest."""

    rank = 0

    def __init__(self, name: str, prior: float) -> None:
        self.seconds_per_token = prior
        self.rates: dict[str, float] = {}

    def compare(self, trials: dict[str, Any], *_: object) -> None:
        self.rates.update(dict.fromkeys(trials, 1.0))

    def fastest(self, names: list[str], present: str) -> str:
        return names[self.rank % len(names)] if names else present


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_two_loads_score_alike_whatever_they_measured(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    """Two replicas, and two starts, give the same scores."""
    monkeypatch.setattr(autotune_module, "CandidateTimer", Preference)
    texts = [*PLAIN, *ODD, LONG]
    # In bfloat16 a score depends in its last digits on the texts of the same batch already.
    exact = dtype == "float32"
    sizes = (256, 8192) if exact else ()
    config = DeviceConfig("cpu", dtype, 1 + exact, 512, autotune=True, batch_token_candidates=sizes)
    chosen: set[str] = set()
    chosen_sizes: set[int] = set()
    loads = []
    for rank in range(3):
        monkeypatch.setattr(Preference, "rank", rank)
        cross, bi = (
            cross_encoder(checkpoint("bert-cross"), config),
            bi_encoder(checkpoint("bert-mean"), config),
        )
        tuned = cross.warm()
        bi.warm()
        assert tuned is not None
        chosen.add(tuned.variant)
        chosen_sizes.add(tuned.max_batch_tokens)
        logits = cross.score("paris", texts, max_tokens=50, context=RequestContext()).logits
        vectors = bi.encode(
            texts, kind="document", max_tokens=None, tokens=False, context=RequestContext()
        ).vectors
        loads.append((logits, vectors))
        cross.close()
        bi.close()
    assert chosen_sizes == (set(sizes) or {512})
    assert len(chosen) >= 2 or not exact, "different variants were chosen"
    for logits, vectors in loads[1:]:
        assert difference(logits, loads[0][0]) <= SAME_SCORES
        assert difference(vectors, loads[0][1]) <= SAME_SCORES


def test_real_models_are_measured_in_a_moment_while_they_serve(checkpoint: Checkpoint) -> None:
    for model in (cross_encoder(checkpoint("bert-cross")), bi_encoder(checkpoint("bert-mean"))):
        start = time.monotonic()
        result = autotune(model, BATCH_TOKENS)
        assert time.monotonic() - start < 20  # about one, on a machine that does nothing else
        assert result.variant in model.variants.all()
        assert result.max_batch_tokens == model.scheduler.config.max_batch_tokens
        assert str(result.max_batch_tokens) in str(result)
        model.warm()  # the worker is free again
        model.close()


def test_passages_differ_and_are_long_enough_for_a_trial() -> None:
    texts = passages(64)
    assert len(set(texts)) == 64
    assert all(len(text.split()) > 128 for text in texts)


@pytest.mark.parametrize(
    ("rope", "kept"),
    [("default", False), ("dynamic", True), ({"full": "default", "local": "longrope"}, True)],
)
def test_positions_that_stretch_with_the_text_are_state(rope: object, kept: bool) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Identity())
    assert not ExecutionVariants(TorchBackend("plain", network)).keeps_state
    network[1].rope_type = rope  # type: ignore[assignment]
    assert ExecutionVariants(TorchBackend("rotary", network)).keeps_state is kept


def test_batches_are_not_measured_where_they_show_in_scores(
    tuned: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Timed(per_token({1024: 0.1}))
    result = tuned(model, exact=False)
    assert result.max_batch_tokens == model.scheduler.config.max_batch_tokens == 4096
    assert "1024 tokens" not in result.rates
    assert model.scheduler.config.single_thread_tokens > 0
