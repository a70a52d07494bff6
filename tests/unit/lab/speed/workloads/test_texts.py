"""Texts are cut so that no library has anything left to truncate."""

from __future__ import annotations

import pytest

from lab.speed.checkpoints.tokenizer_files import tokenizer_at
from lab.speed.workloads import texts
from lab.speed.workloads.texts import Pool
from reranker_bench.data.collections import open_collection


@pytest.fixture(scope="module")
def folder(checkpoint):
    return checkpoint("bert-cross")


@pytest.fixture(scope="module")
def tokenizer(folder):
    return tokenizer_at(folder)


def test_a_pool_fits_the_window_with_its_query(tokenizer) -> None:
    long = "machine learning improves with experience " * 30
    pool = Pool("what is machine learning", ("water boils", long))
    cut = texts.truncate_pool(pool, tokenizer, 64, pair=True)
    assert cut.documents[0] == "water boils"
    assert long.startswith(cut.documents[1])
    sizes = texts.lengths([cut], tokenizer, pair=True)
    assert 56 <= max(sizes) <= 64
    alone = texts.lengths(
        [texts.truncate_pool(pool, tokenizer, 64, pair=False)], tokenizer, pair=False
    )
    assert 56 <= max(alone) <= 64


def test_a_query_takes_at_most_half_of_the_window(tokenizer) -> None:
    pool = Pool("learning " * 100, ("water " * 100,))
    sizes = texts.lengths(
        [texts.truncate_pool(pool, tokenizer, 64, pair=True)], tokenizer, pair=True
    )
    assert sizes[0] <= 64


def test_pools_come_from_the_sample_where_the_collection_is_absent(tmp_path) -> None:
    source = texts.collection(tmp_path)
    assert source.name == "sample"
    pools = texts.pools(source, 3, 5)
    assert len(pools) == 3
    assert all(1 <= len(pool.documents) <= 5 for pool in pools)
    assert all("  " not in text and "\n" not in text for p in pools for text in p.documents)


def test_snippets_differ_and_have_their_size(tokenizer) -> None:
    source = open_collection("sample")
    made = texts.snippets(source, tokenizer, 50, 16)
    assert len(set(made)) == 50
    assert all(len(tokenizer.encode(t, add_special_tokens=False).ids) <= 17 for t in made)
    assert made == texts.snippets(source, tokenizer, 50, 16)
