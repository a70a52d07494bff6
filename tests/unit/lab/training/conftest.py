"""A tiny model and tiny prepared material for the tests of training."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import BertConfig

from lab.training.base import freeze
from lab.training.corpus.passages import TokenTable
from lab.training.corpus.prepare import Material
from lab.training.corpus.queries import Query
from reranker.families.split_cross_encoder.network import SplitBert

VOCABULARY, WIDTH = 120, 16


def build_model() -> SplitBert:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        layers_apart=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return freeze(SplitBert(config)).eval()


def table(random: np.random.Generator, texts: int, length: int) -> TokenTable:
    size = texts * length
    return TokenTable(
        np.arange(0, size + 1, length, dtype=np.int64),
        random.integers(1, 100, size).astype(np.int32),
        np.tile(np.arange(length, dtype=np.int32) // 10, texts),
    )


@pytest.fixture
def new_model() -> Callable[[], SplitBert]:
    return build_model


@pytest.fixture
def idf() -> np.ndarray:
    return np.ones(VOCABULARY, dtype=np.float32)


@pytest.fixture
def material() -> Material:
    random = np.random.default_rng(0)
    passages, questions = table(random, 40, 30), table(random, 20, 6)
    embedding = random.normal(size=(VOCABULARY, WIDTH)).astype(np.float16)
    return Material(
        name="selqa-dev",
        passages=passages,
        vectors=embedding[passages.tokens],
        queries=tuple(
            Query("question", f"query {i}", (i,), removed=(0,) if i % 2 else ()) for i in range(20)
        ),
        query_tokens=questions,
        query_vectors=embedding[questions.tokens],
        candidates=tuple(tuple(j for j in range(24) if j != i) for i in range(20)),
        held_out=frozenset({3, 4}),
    )
