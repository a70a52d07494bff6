"""The shared tier in Redis: without effect on results, and never in the way of a request."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.models import FLOAT32, bi_encoder, cross_encoder
from support.redis_server import RedisServer, redis_server
from support.texts import LONG, ODD, PLAIN

from reranker import Settings
from reranker.backends.device import DeviceConfig
from reranker.cache import redis as redis_store
from reranker.cache.redis import RedisStore
from reranker.engine import Reranker
from reranker.errors import MissingExtra, SettingsError
from reranker.families.roles import Encoded
from reranker.runtime.roles import ServedBiEncoder
from reranker.types import RequestContext

Checkpoint = Callable[[str], Path]
TEXTS = [*PLAIN, *ODD, LONG]
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    new = RedisStore(server.url, 600)
    new._redis.flushall()
    yield new
    new.close()


def encode(model: ServedBiEncoder, tokens: bool = True, texts: list[str] = TEXTS) -> Encoded:
    return model.encode(
        texts, kind="document", max_tokens=None, tokens=tokens, context=RequestContext()
    )


def assert_same(found: Encoded, expected: Encoded, atol: float = 0) -> None:
    """Compare; two runs in other company differ by rounding, and so by at most `atol`."""
    np.testing.assert_allclose(found.vectors, expected.vectors, rtol=0, atol=atol)
    assert found.usage.total_tokens == expected.usage.total_tokens
    assert found.truncated.tolist() == expected.truncated.tolist()
    assert (found.tokens is None) == (expected.tokens is None)
    for mine, theirs in zip(found.tokens or (), expected.tokens or (), strict=True):
        np.testing.assert_allclose(mine.vectors, theirs.vectors, rtol=0, atol=100 * atol)
        np.testing.assert_array_equal(mine.ids, theirs.ids)
        np.testing.assert_array_equal(mine.spans, theirs.spans)
        assert (mine.weights is None) == (theirs.weights is None)
        if mine.weights is not None:
            np.testing.assert_array_equal(mine.weights, theirs.weights)


@pytest.mark.parametrize("name", ["m3", "bert-mean", "xlmr-cls-prompts"])
@pytest.mark.parametrize("cache_bytes", [0, 1 << 24])
def test_a_second_process_finds_what_the_first_computed(
    checkpoint: Checkpoint, store: RedisStore, name: str, cache_bytes: int
) -> None:
    one, other = (
        bi_encoder(checkpoint(name), cache_bytes=cache_bytes, store=store, heads=name == "m3")
        for _ in range(2)
    )
    for tokens in (True, False):
        expected, found = encode(one, tokens), encode(other, tokens)
        assert_same(found, expected)
        assert found.usage.cached == len(set(TEXTS))
    assert other.scheduler.stats.items == 0
    assert other.cache.stats.shared_hits >= len(set(TEXTS))
    one.close()
    other.close()


def test_pooled_vectors_alone_do_not_pass_for_token_vectors(
    checkpoint: Checkpoint, store: RedisStore
) -> None:
    one, other = (bi_encoder(checkpoint("bert-mean"), store=store) for _ in range(2))
    encode(one, tokens=False)
    assert encode(other, tokens=True).tokens is not None
    assert other.scheduler.stats.items == len(set(TEXTS))
    one.close()
    other.close()


def test_scores_are_shared_too(checkpoint: Checkpoint, store: RedisStore) -> None:
    one, other = (cross_encoder(checkpoint("bert-cross"), store=store) for _ in range(2))
    expected, found = (
        m.score("q", TEXTS, max_tokens=9, context=RequestContext()) for m in (one, other)
    )
    np.testing.assert_array_equal(found.logits, expected.logits)
    assert found.usage.total_tokens == expected.usage.total_tokens
    assert found.usage.cached == len(set(TEXTS))
    assert other.score("other", TEXTS, max_tokens=9, context=RequestContext()).usage.cached == 0
    one.close()
    other.close()


def test_models_that_answer_otherwise_share_nothing(
    checkpoint: Checkpoint, store: RedisStore, tmp_path: Path
) -> None:
    same_weights = tmp_path / "bert-cls"
    shutil.copytree(checkpoint("bert-mean"), same_weights)
    pooling = same_weights / "1_Pooling/config.json"
    pooling.write_text(pooling.read_text().replace('"mean"', '"cls"'))
    half = DeviceConfig("cpu", "bfloat16", 1, 512)
    models = [
        bi_encoder(checkpoint("bert-mean"), store=store),
        bi_encoder(checkpoint("bert-mean"), half, store=store),
        bi_encoder(checkpoint("bert-mean-prompts"), store=store),
        bi_encoder(same_weights, store=store),
        bi_encoder(checkpoint("m3"), store=store, heads=True),
        bi_encoder(checkpoint("m3"), store=store),
    ]
    for model in models:
        assert encode(model).usage.cached == 0
        model.close()
    names = {model.cache.shared.namespace() for model in models if model.cache.shared}
    assert len(names) == len(models)


def test_what_others_wrote_under_a_key_is_computed_again(
    checkpoint: Checkpoint, store: RedisStore
) -> None:
    model = cross_encoder(checkpoint("bert-cross"), store=store)
    expected = model.score("q", PLAIN, max_tokens=9, context=RequestContext()).logits
    for key in store._redis.keys("reranker:*"):
        store._redis.set(key, b"rubbish")
    found = model.score("q", PLAIN, max_tokens=9, context=RequestContext())
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)
    assert found.usage.cached == 0
    model.close()


def test_entries_end_some_day(store: RedisStore) -> None:
    store.keep([("a", b"1")])
    assert 0 < store._redis.ttl("a") <= 600


def test_ten_thousand_entries_take_several_trips(store: RedisStore) -> None:
    items = {f"k{i}": f"v{i}".encode() for i in range(10_000)}
    store.keep(items.items())
    assert store.find([*items, "none"]) == [*items.values(), None]


def test_a_redis_that_dies_in_the_middle_is_survived(
    checkpoint: Checkpoint,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_store, "_REST_SECONDS", 0.3)
    monkeypatch.setattr(redis_store, "_ANSWER_SECONDS", 10)  # a busy machine is no outage here
    plain = bi_encoder(checkpoint("bert-mean"))
    with redis_server(tmp_path) as server, caplog.at_level(logging.INFO):
        store = RedisStore(server.url, 600)
        model = bi_encoder(checkpoint("bert-mean"), store=store)
        expected = encode(plain)
        texts = [f"{text} {i}" for i in range(40) for text in PLAIN]

        def work(turn: int) -> None:
            assert_same(encode(model), expected, atol=1e-6)
            model.encode(
                texts[turn::8],
                kind="document",
                max_tokens=None,
                tokens=False,
                context=RequestContext(),
            )

        with ThreadPoolExecutor(8) as pool:
            done = [pool.submit(work, turn % 8) for turn in range(64)]
            done[8].result(60)
            server.stop()
            for each in done:
                each.result(60)
        assert_same(encode(model), expected, atol=1e-6)
        server.start()
        until = time.monotonic() + 20
        while encode(model).usage.cached == 0:
            assert time.monotonic() < until, "Redis is not used again"
            time.sleep(0.05)
        store.close()
    lines = [record for record in caplog.records if record.name == redis_store.__name__]
    assert [record.levelname for record in lines] == ["WARNING", "INFO"]
    plain.close()
    model.close()


def test_a_redis_that_is_not_there_is_left_alone_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = RedisStore(NOWHERE, 600)
    asked = 0
    whole = store._redis.mget

    def mget(keys: list[str]) -> object:
        nonlocal asked
        asked += 1
        return whole(keys)

    store._redis.mget = mget
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            assert store.find(["a"] * 1000) == [None] * 1000
            store.keep([("a", b"1")])
    assert asked == 1
    assert caplog.text.count("does not answer") == 1
    store.close()


def test_a_redis_that_accepts_but_never_answers_holds_nobody_up_for_long(tmp_path: Path) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        store = RedisStore(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", 600)
        start = time.monotonic()
        for _ in range(20):
            assert store.find(["a"]) == [None]
        assert time.monotonic() - start < 5
        store.close()


def test_a_missing_package_and_a_bad_url_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="URL") as caught:
        RedisStore("http://somewhere", 600)
    assert caught.value.param == "cache_redis_url"
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtra, match=r"reranker\[redis\]"):
        RedisStore(NOWHERE, 600)


def test_the_engine_shares_when_told_to(checkpoint: Checkpoint, server: RedisServer) -> None:
    folder = str(checkpoint("bert-mean"))
    settings = Settings(
        model="tiny",
        bi_encoders={"tiny": folder},
        offline=True,
        device="cpu",
        dtype=FLOAT32.dtype,  # type: ignore[arg-type]
        cache_redis_url=server.url,
    )
    rankings = []
    for _ in range(2):
        with Reranker(settings) as reranker:
            rankings.append(reranker.rank("paris", PLAIN))
    assert [r.index for r in rankings[0]] == [r.index for r in rankings[1]]
    assert [r.score for r in rankings[0]] == [r.score for r in rankings[1]]
    assert rankings[1].usage.cached == len(set(PLAIN)) + 1
