"""What is done once for the models of all families, shown on one without a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.live import wait_until
from support.models import FLOAT32, bi_encoder, cross_encoder

from reranker.backends import openvino
from reranker.backends.device import DeviceConfig
from reranker.errors import DeadlineExceeded, InferenceError, ModelUnavailable
from reranker.families.records import ScoreRecord
from reranker.families.text_pair_model import TextPair, TextPairModel
from reranker.runtime.roles import ServedCrossEncoder
from reranker.types import RequestContext, Usage

Checkpoint = Callable[[str], Path]
CONTEXT = RequestContext()
AUTOTUNED = replace(FLOAT32, autotune=True, batch_token_candidates=(256, 512))


class SharedWords(TextPairModel):
    """Counts the words that both texts have."""

    definition = "shared words"

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.threads: set[str] = set()

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        self.seen += [document for _, document in pairs]
        self.threads.add(threading.current_thread().name)
        return [float(len(set(query.split()) & set(doc.split()))) for query, doc in pairs]


def served(
    model: TextPairModel, config: DeviceConfig = FLOAT32, cache_bytes: int = 0
) -> ServedCrossEncoder:
    return ServedCrossEncoder("words", "shared-words", model, "digest", config, cache_bytes)


def test_a_family_model_without_a_network_is_served() -> None:
    model = served(words := SharedWords())
    scored = model.score("a b", ["b c", "x", "b a"], max_tokens=9, context=CONTEXT)
    assert scored.logits.tolist() == [1, 0, 2]
    assert scored.logits.dtype == np.float32
    assert (model.variants.backend, model.variants.attention) == ("torch", None)
    assert not model.variants.packed
    assert model.variants.all() == {}
    assert model.tokenizer is None
    assert model.weight_bytes == 0
    assert threading.current_thread().name not in words.threads
    model.close()


def test_distinct_texts_are_computed_and_counted_once() -> None:
    model = served(words := SharedWords())
    documents = ["b c d", "x", "b c d", "x", "b c d"]
    scored = model.score("a b", documents, max_tokens=2, context=CONTEXT)
    assert sorted(words.seen) == ["b c", "x"]
    assert scored.logits.tolist() == [1, 0, 1, 0, 1]
    assert scored.truncated.tolist() == [True, False, True, False, True]
    assert scored.usage == Usage(query_tokens=2, document_tokens=3, cached=0)
    model.close()


def test_distinct_texts_of_a_bi_encoder_are_told_in_order_of_appearance(
    checkpoint: Checkpoint,
) -> None:
    model = bi_encoder(checkpoint("bert-mean"))
    encoded = model.encode(
        ["b", "a", "b", "c", "a"], kind="query", max_tokens=None, tokens=True, context=CONTEXT
    )
    assert encoded.distinct.tolist() == [0, 1, 0, 2, 1]
    assert encoded.usage == Usage(query_tokens=3)
    assert encoded.tokens is not None
    assert encoded.tokens[0] is encoded.tokens[2]
    model.close()


def test_what_a_cache_holds_is_not_computed_again_and_counted_as_cached() -> None:
    model = served(words := SharedWords(), cache_bytes=1 << 20)
    first = model.score("a b", ["b c", "x"], max_tokens=9, context=CONTEXT)
    words.seen.clear()
    again = model.score("a b", ["x", "new b", "b c"], max_tokens=9, context=CONTEXT)
    assert words.seen == ["new b"]
    assert again.logits.tolist() == [0, 1, 1]
    assert (first.usage.cached, again.usage.cached) == (0, 2)
    assert again.usage.document_tokens == 5, "texts of the cache count as read"
    other = model.score("a", ["x"], max_tokens=9, context=CONTEXT)
    shorter = model.score("a b", ["x"], max_tokens=8, context=CONTEXT)
    assert other.usage.cached == shorter.usage.cached == 0, "query and cut are in the key"
    model.close()


def test_the_next_part_is_prepared_while_the_present_one_runs() -> None:
    second, prepared = threading.Event(), []

    class Watched(SharedWords):
        def read(self, options: Any) -> Any:
            reading = super().read(options)

            class Reading:
                scope, kind, accepts = reading.scope, reading.kind, reading.accepts
                query_tokens, query_truncated = reading.query_tokens, reading.query_truncated

                def prepare(self, texts: Sequence[str]) -> list[TextPair]:
                    prepared.append(len(texts))
                    if len(prepared) == 2:
                        second.set()
                    return reading.prepare(texts)

            return Reading()

        def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
            assert second.wait(30), "the second part is prepared before the first is done"
            return super().score_pairs(pairs)

    model = served(Watched())
    documents = [f"word {number}" for number in range(600)]
    scored = model.score("word", documents, max_tokens=9, context=CONTEXT)
    assert scored.logits.tolist() == [1.0] * 600
    assert sum(prepared) == 600
    assert len(prepared) > 1
    model.close()


class Broken(SharedWords):
    """Returns something else than one finite score a pair for documents with `bad` in them."""

    def __init__(self, bad: Callable[[list[float]], list[float]]) -> None:
        super().__init__()
        self.bad = bad

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        scores = list(super().score_pairs(pairs))
        return self.bad(scores) if any("bad" in document for _, document in pairs) else scores


def dropped(scores: list[float]) -> list[float]:
    return scores[:-1]


def not_a_number(scores: list[float]) -> list[float]:
    return [float("nan")] * len(scores)


def infinite(scores: list[float]) -> list[float]:
    return [float("inf")] * len(scores)


@pytest.mark.parametrize("bad", [dropped, not_a_number, infinite])
def test_bad_results_fail_the_call_and_not_the_model(
    bad: Callable[[list[float]], list[float]],
) -> None:
    model = served(Broken(bad), cache_bytes=1 << 20)
    for _ in range(2):  # nothing of it is kept
        with pytest.raises(InferenceError, match="'words' failed on one of the documents"):
            model.score("a", ["a", "a bad one"], max_tokens=9, context=CONTEXT)
    assert model.score("a", ["a"], max_tokens=9, context=CONTEXT).logits.tolist() == [1]
    assert model.scheduler.alive
    model.close()


def test_a_wrong_number_of_records_is_an_error() -> None:
    class TooMany(SharedWords):
        def forward(self, items: list[TextPair], run: Any) -> list[ScoreRecord]:
            return [*super().forward(items, run), ScoreRecord(0.0, 0, False)]

    model = served(TooMany())
    with pytest.raises(InferenceError):
        model.score("a", ["b"], max_tokens=9, context=CONTEXT)
    model.close()


def test_warming_without_autotune_measures_nothing() -> None:
    model = served(words := SharedWords())
    config = model.scheduler.config
    assert model.warm() is None
    assert len(words.seen) == 1
    assert model.scheduler.config == config
    model.close()


def test_warming_with_autotune_returns_what_is_in_use(checkpoint: Checkpoint) -> None:
    for model in (
        served(SharedWords(), AUTOTUNED),
        cross_encoder(checkpoint("bert-cross"), AUTOTUNED),
    ):
        result = model.warm()
        assert result is not None
        assert result.max_batch_tokens == model.scheduler.config.max_batch_tokens
        assert result.max_batch_tokens in {256, 512}
        assert result.concurrent_batches == model.scheduler.config.concurrent_batches
        assert result.rates
        assert str(result.max_batch_tokens) in str(result)
        model.close()


def test_warming_is_for_all_who_ask_and_one_at_a_time() -> None:
    inside, overlaps = threading.Lock(), []

    class Alone(SharedWords):
        def sample_items(self, texts: Sequence[str], length: int) -> list[TextPair]:
            overlaps.append(not inside.acquire(blocking=False))
            try:
                return super().sample_items(texts, length)
            finally:
                if not overlaps[-1]:
                    inside.release()

    model = served(Alone(), AUTOTUNED)
    threads = [threading.Thread(target=model.warm) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(overlaps) >= 4
    assert not any(overlaps)
    model.close()


def test_the_memory_of_weights_is_that_before_they_were_packed(checkpoint: Checkpoint) -> None:
    plain = replace(FLOAT32, cpu_weight_layout="plain")
    for load, name in ((cross_encoder, "bert-cross"), (bi_encoder, "bert-mean")):
        model: Any = load(checkpoint(name))
        expected: Any = load(checkpoint(name), plain)
        size = sum(
            each.numel() * each.element_size()
            for module in expected.model.weights
            for each in module.parameters()
        )
        assert model.weight_bytes == expected.weight_bytes == size > 0
        model.close()
        expected.close()


@pytest.mark.skipif(not openvino.is_installed(), reason="no openvino, no nncf")
def test_a_backend_that_was_asked_for_needs_a_network() -> None:
    with pytest.raises(ModelUnavailable, match="does not run on openvino") as caught:
        served(SharedWords(), replace(FLOAT32, backend="openvino"))
    assert "no network" in str(caught.value.detail)


def test_a_closed_model_refuses_and_close_may_be_called_twice() -> None:
    model = served(SharedWords())
    model.score("a", ["b"], max_tokens=9, context=CONTEXT)
    model.close()
    model.close()
    with pytest.raises(ModelUnavailable, match="is shutting down"):
        model.score("a", ["c"], max_tokens=9, context=CONTEXT)


def test_closing_answers_those_who_wait() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(SharedWords):
        def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
            entered.set()
            assert leave.wait(30)
            return super().score_pairs(pairs)

    model = served(Slow(), replace(FLOAT32, threads=1))
    errors: list[Exception] = []

    def ask(document: str) -> None:
        try:
            model.score("a", [document], max_tokens=9, context=CONTEXT)
        except ModelUnavailable as error:
            errors.append(error)

    running = threading.Thread(target=ask, args=("first",))
    running.start()
    assert entered.wait(30)
    waiting = threading.Thread(target=ask, args=("second",))
    waiting.start()
    wait_until(lambda: model.scheduler.waiting_jobs == 1)
    closing = threading.Thread(target=model.close)
    closing.start()
    waiting.join(30)
    assert len(errors) == 1
    leave.set()
    running.join(30)
    closing.join(30)
    assert len(errors) == 1, "the batch that ran has ended well"


def test_a_deadline_that_has_passed_computes_nothing() -> None:
    model = served(words := SharedWords())
    with pytest.raises(DeadlineExceeded):
        model.score("a", ["b"], max_tokens=9, context=RequestContext(deadline=0.0))
    assert words.seen == []
    model.close()


def test_batches_run_without_gradients() -> None:
    class Graded(SharedWords):
        def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
            return [float(torch.is_inference_mode_enabled())] * len(pairs)

    model = served(Graded())
    assert model.score("a", ["b"], max_tokens=9, context=CONTEXT).logits.tolist() == [1.0]
    model.close()
