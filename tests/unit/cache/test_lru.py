"""The cache: bounded, least recently used, and without effect on results."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models import bi_encoder, cross_encoder
from support.texts import LONG, ODD, PLAIN

from reranker.cache.lru import Cache, cache_keys
from reranker.types import RequestContext

parts = st.lists(st.one_of(st.text(max_size=8), st.integers(-5, 5)), max_size=4)


def entry(size: int) -> int:
    """Return the bytes that the cache counts for a value of that size."""
    cache: Cache[bytes] = Cache(1 << 20, len)
    cache.put(b"k", b"x" * size)
    return cache.stats.bytes


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 900)), max_size=60))
def test_never_holds_more_bytes_than_allowed(puts: list[tuple[int, int]]) -> None:
    cache: Cache[bytes] = Cache(2000, len)
    for number, size in puts:
        cache.put(bytes([number]), b"x" * size)
        assert cache.stats.bytes <= 2000
    held = sum(entry(len(value)) for n in range(21) if (value := cache.get(bytes([n]))) is not None)
    assert held == cache.stats.bytes


def test_drops_what_was_used_longest_ago() -> None:
    cache: Cache[bytes] = Cache(3 * entry(100), len)
    for name in (b"a", b"b", b"c"):
        cache.put(name, name * 100)
    assert cache.get(b"a") == b"a" * 100
    cache.put(b"d", b"d" * 100)
    assert cache.get(b"b") is None
    assert all(cache.get(name) == name * 100 for name in (b"a", b"c", b"d"))


def test_a_value_larger_than_the_cache_is_not_kept_and_drops_nothing() -> None:
    cache: Cache[bytes] = Cache(2 * entry(10), len)
    cache.put(b"small", b"x" * 10)
    cache.put(b"large", b"x" * 5000)
    assert cache.get(b"large") is None
    assert cache.get(b"small") is not None


def test_a_key_put_twice_is_counted_once() -> None:
    cache: Cache[bytes] = Cache(10_000, len)
    cache.put(b"k", b"x" * 100)
    cache.put(b"k", b"x" * 300)
    assert cache.stats.entries == 1
    assert cache.stats.bytes == entry(300)


def test_a_falsy_value_is_found() -> None:
    cache: Cache[float] = Cache(1000, lambda _: 8)
    cache.put(b"zero", 0.0)
    assert cache.get(b"zero") == 0.0
    assert (cache.stats.hits, cache.stats.misses) == (1, 0)


def test_a_cache_of_no_bytes_keeps_nothing() -> None:
    cache: Cache[bytes] = Cache(0, len)
    cache.put(b"k", b"")
    assert cache.get(b"k") is None
    assert cache.stats.entries == 0


def test_many_threads_keep_the_books_straight() -> None:
    cache: Cache[bytes] = Cache(20 * entry(50), len)

    def work(seed: int) -> None:
        for i in range(400):
            name = bytes([(seed * 31 + i * 7) % 64])
            value = cache.get(name)
            assert value in (None, name * 50)
            cache.put(name, name * 50)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, seed) for seed in range(8)]:
            done.result(60)
    stats = cache.stats
    assert stats.hits + stats.misses == 8 * 400
    assert stats.bytes == stats.entries * entry(50) <= 20 * entry(50)


def key(scope: list[str | int], text: str) -> bytes:
    return cache_keys(scope, [text])[0]


@given(parts, st.text(max_size=8), parts, st.text(max_size=8))
def test_texts_share_a_key_only_if_they_and_their_scopes_read_the_same(
    one: list[str | int], text: str, other: list[str | int], other_text: str
) -> None:
    same = [*map(str, one), text] == [*map(str, other), other_text]
    assert (key(one, text) == key(other, other_text)) == same


def test_parts_that_run_into_each_other_have_different_keys() -> None:
    alike = [(["ab"], "c"), (["a"], "bc"), ([], "abc"), (["abc"], ""), ([""], "abc")]
    assert len({key(list(scope), text) for scope, text in alike}) == len(alike)


def test_a_text_has_the_same_key_in_any_company() -> None:
    assert cache_keys(["s"], ["a", "b"])[1] == key(["s"], "b")


def test_a_lone_surrogate_can_be_part_of_a_key() -> None:
    assert key([], "\ud800") != key([], "\ufffd")


@pytest.mark.parametrize("name", ["m3", "bert-mean", "xlmr-cls-prompts"])
def test_a_bi_encoder_gives_the_same_with_and_without_a_cache(
    checkpoint: Callable[[str], Path], name: str
) -> None:
    heads = name == "m3"
    without = bi_encoder(checkpoint(name), heads=heads)
    cached = bi_encoder(checkpoint(name), heads=heads, cache_bytes=1 << 24)
    texts = [*PLAIN, *ODD, LONG]
    for kind in ("query", "document", "query"):
        for limit in (None, 5, None):
            for tokens in (False, True):
                expected, found = (
                    model.encode(
                        texts, kind=kind, max_tokens=limit, tokens=tokens, context=RequestContext()
                    )  # type: ignore[arg-type]
                    for model in (without, cached)
                )
                np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-6)
                assert found.truncated.tolist() == expected.truncated.tolist()
                assert found.usage.total_tokens == expected.usage.total_tokens
                assert expected.usage.cached == 0
                for mine, theirs in zip(found.tokens or (), expected.tokens or (), strict=True):
                    np.testing.assert_allclose(mine.vectors, theirs.vectors, atol=1e-4)
                    assert mine.ids.tolist() == theirs.ids.tolist()
                    assert mine.spans.tolist() == theirs.spans.tolist()
    assert cached.cache.stats.hits > 0
    assert found.usage.cached == len(texts)
    without.close()
    cached.close()


def test_a_cross_encoder_gives_the_same_with_and_without_a_cache(
    checkpoint: Callable[[str], Path],
) -> None:
    without = cross_encoder(checkpoint("bert-cross"))
    cached = cross_encoder(checkpoint("bert-cross"), cache_bytes=1 << 20)
    texts = [*PLAIN, *ODD, LONG, PLAIN[0]]
    for query in ("paris", "learning", LONG, "paris"):
        for limit in (512, 3):
            expected, found = (
                model.score(query, texts, max_tokens=limit, context=RequestContext())
                for model in (without, cached)
            )
            np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
            assert found.usage.total_tokens == expected.usage.total_tokens
            assert found.truncated.tolist() == expected.truncated.tolist()
            assert expected.usage.cached == 0
    assert found.usage.cached == len(set(texts))
    without.close()
    cached.close()


def test_what_a_caller_does_to_its_result_does_not_reach_the_cache(
    checkpoint: Callable[[str], Path],
) -> None:
    model = bi_encoder(checkpoint("m3"), heads=True, cache_bytes=1 << 20)

    def encode() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        encoded = model.encode(
            ["paris"], kind="query", max_tokens=None, tokens=True, context=RequestContext()
        )
        assert encoded.tokens is not None
        assert encoded.tokens[0].weights is not None
        return encoded.vectors, encoded.tokens[0].vectors, encoded.tokens[0].weights

    first = [part.copy() for part in encode()]
    for part in encode():
        part[:] = 7
    for part, expected in zip(encode(), first, strict=True):
        np.testing.assert_array_equal(part, expected)
    model.close()
