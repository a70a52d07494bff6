"""The encoders around their networks: prompts, spans, bounds, failures, and many threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.models import bi_encoder, cross_encoder, embedded_bi_encoder
from support.texts import LONG, ODD, PLAIN

from reranker.backends.device import DeviceConfig
from reranker.errors import DeadlineExceeded, InferenceError
from reranker.families.bi_encoder.text_reading import MAX_TOKEN_VECTORS
from reranker.families.roles import Encoded, TokenVectors
from reranker.runtime.roles import ServedBiEncoder
from reranker.types import RequestContext

Checkpoint = Callable[[str], Path]


def encode(model: ServedBiEncoder, texts: list[str], **options: Any) -> Encoded:
    arguments = {
        "kind": "document",
        "max_tokens": None,
        "tokens": True,
        "context": RequestContext(),
        **options,
    }
    return model.encode(texts, **arguments)


def tokens(model: ServedBiEncoder, text: str, **options: Any) -> TokenVectors:
    vectors = encode(model, [text], **options).tokens
    assert vectors is not None
    return vectors[0]


@pytest.mark.parametrize("name", ["bert-mean", "xlmr-cls", "bert-mean-prompts", "m3"])
def test_vectors_have_unit_length_and_shapes_fit(checkpoint: Checkpoint, name: str) -> None:
    model = bi_encoder(checkpoint(name), heads=name == "m3")
    encoded = encode(model, [*PLAIN, *ODD, LONG])
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), 1, atol=1e-5)
    assert encoded.vectors.dtype == np.float32
    assert encoded.vectors.shape == (len(PLAIN) + len(ODD) + 1, model.model.dimensions)
    for each in encoded.tokens or ():
        assert len(each.vectors) == len(each.ids) == len(each.spans)
        np.testing.assert_allclose(np.linalg.norm(each.vectors, axis=1), 1, atol=1e-3)
        assert (each.weights is not None) == (name == "m3")
    model.close()


@pytest.mark.parametrize("name", ["bert-mean-prompts", "xlmr-cls-prompts"])
def test_spans_lie_in_the_text_although_a_prompt_was_read_before_it(
    checkpoint: Checkpoint, name: str
) -> None:
    model = bi_encoder(checkpoint(name))
    for text in [*PLAIN, " spaced"]:
        encoded = tokens(model, text)
        assert (encoded.spans[:, 0] >= 0).all()
        assert (encoded.spans[:, 0] < encoded.spans[:, 1]).all()
        assert (encoded.spans[:, 1] <= len(text)).all()
        words = "".join(text[start:end] for start, end in encoded.spans)
        assert {char for char in text if char.isalnum()} <= set(words)
    model.close()


def test_the_prompt_has_no_token_vectors_and_takes_nothing_from_the_text(
    checkpoint: Checkpoint,
) -> None:
    plain, prompted = (bi_encoder(checkpoint(n)) for n in ("bert-mean", "bert-mean-prompts"))
    text = "machine learning in paris"
    assert tokens(plain, text).ids.tolist() == tokens(prompted, text).ids.tolist()
    both = [encode(model, [LONG], max_tokens=9) for model in (plain, prompted)]
    assert [len(encoded.tokens[0].ids) for encoded in both if encoded.tokens] == [9, 9]
    plain.close()
    prompted.close()


def test_punctuation_and_special_tokens_have_no_vectors(checkpoint: Checkpoint) -> None:
    model = bi_encoder(checkpoint("bert-mean"))
    text = "the cat, the dog; and ... paris!"
    encoded = tokens(model, text)
    assert [text[start:end] for start, end in encoded.spans][-1] == "paris"
    assert all(text[start:end].isalnum() for start, end in encoded.spans)
    nothing = tokens(model, "...!?")
    assert nothing.vectors.shape == (0, model.model.dimensions)
    model.close()


def test_only_so_many_token_vectors_are_kept_of_a_text() -> None:
    model = embedded_bi_encoder()
    long = "word " * 1000
    encoded = encode(model, [long], max_tokens=512)
    assert encoded.tokens is not None
    assert len(encoded.tokens[0].ids) == min(MAX_TOKEN_VECTORS, model.window - 2)
    assert encoded.truncated.tolist() == [True]
    model.close()


def test_equal_texts_are_computed_once(checkpoint: Checkpoint) -> None:
    model = bi_encoder(checkpoint("bert-mean"))
    encoded = encode(model, ["same"] * 50 + ["other"])
    assert model.scheduler.stats.items == 2
    assert len(encoded.vectors) == 51
    assert (encoded.vectors[:50] == encoded.vectors[0]).all()
    crossing = cross_encoder(checkpoint("bert-cross"))
    scored = crossing.score("q", ["same"] * 50, max_tokens=9, context=RequestContext())
    assert crossing.scheduler.stats.items == 1
    assert len(set(scored.logits.tolist())) == 1
    model.close()
    crossing.close()


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_a_memo_lasts_as_long_as_its_vectors_are_kept(
    checkpoint: Checkpoint, cache_bytes: int
) -> None:
    model = bi_encoder(checkpoint("bert-mean"), cache_bytes=cache_bytes)
    tokens(model, PLAIN[0]).memo["a number"] = 1
    assert tokens(model, PLAIN[0]).memo == ({"a number": 1} if cache_bytes else {})
    assert tokens(model, PLAIN[1]).memo == {}
    model.close()


def test_a_vector_alone_equals_the_one_in_company(checkpoint: Checkpoint) -> None:
    for name in ("bert-mean", "xlmr-cls"):
        model = bi_encoder(checkpoint(name))
        together = encode(model, [*PLAIN, LONG]).vectors
        for text, row in zip(PLAIN, together, strict=False):
            np.testing.assert_allclose(encode(model, [text]).vectors[0], row, atol=1e-5)
        model.close()


def test_weights_that_are_not_numbers_fail_the_call_and_not_the_worker(
    checkpoint: Checkpoint,
) -> None:
    model = bi_encoder(checkpoint("bert-mean"))
    crossing = cross_encoder(checkpoint("bert-cross"))
    for network in (*model.model.weights, *crossing.model.weights):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(float("nan"))
    with pytest.raises(InferenceError):
        encode(model, ["a"])
    with pytest.raises(InferenceError):
        crossing.score("q", ["a"], max_tokens=9, context=RequestContext())
    assert model.scheduler.alive
    assert crossing.scheduler.alive
    model.close()
    crossing.close()


def test_a_passed_deadline_reaches_the_network_never(checkpoint: Checkpoint) -> None:
    model = bi_encoder(checkpoint("bert-mean"))
    with pytest.raises(DeadlineExceeded):
        encode(model, ["a"], context=RequestContext(deadline=0.0))
    assert model.scheduler.stats.items == 0
    model.close()


def test_32_threads_get_each_their_own_vectors_and_logits(checkpoint: Checkpoint) -> None:
    model = bi_encoder(checkpoint("m3"), heads=True)
    crossing = cross_encoder(checkpoint("xlmr-cross"))
    lists = [[f"{text} {i}" for text in PLAIN[: 1 + i % 6]] for i in range(16)]
    alone = [
        (
            encode(model, texts),
            crossing.score("paris", texts, max_tokens=50, context=RequestContext()),
        )
        for texts in lists
    ]

    def work(turn: int) -> None:
        texts, (encoded, scored) = lists[turn % 16], alone[turn % 16]
        again = encode(model, texts)
        np.testing.assert_allclose(again.vectors, encoded.vectors, atol=1e-4)
        for mine, theirs in zip(again.tokens or (), encoded.tokens or (), strict=True):
            np.testing.assert_allclose(mine.vectors, theirs.vectors, atol=1e-3)
        found = crossing.score("paris", texts, max_tokens=50, context=RequestContext()).logits
        np.testing.assert_allclose(found, scored.logits, atol=1e-4)

    with ThreadPoolExecutor(32) as pool:
        for done in [pool.submit(work, turn) for turn in range(64)]:
            done.result(120)
    model.close()
    crossing.close()


def test_bfloat16_stays_close_to_float32(checkpoint: Checkpoint) -> None:
    half = DeviceConfig(device="cpu", dtype="bfloat16", threads=2, max_batch_tokens=512)
    models = [bi_encoder(checkpoint("bert-mean"), hardware) for hardware in (half, _float32())]
    low, full = (encode(model, PLAIN).vectors for model in models)
    assert low.dtype == np.float32
    assert (np.sum(low * full, axis=1) > 0.99).all()
    for model in models:
        model.close()


def _float32() -> DeviceConfig:
    return DeviceConfig(device="cpu", dtype="float32", threads=2, max_batch_tokens=512)
