"""Model doubles whose vectors can be worked out by hand: each word has its own direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from reranker.families.base import Encoded, Scored, TokenVectors
from reranker.types import RequestContext

WIDTH = 32


def word_vector(word: str) -> np.ndarray:
    """Return a unit vector that depends on the word alone."""
    seed = int.from_bytes(word.encode()[:7], "little")
    vector = np.random.default_rng(seed).normal(size=WIDTH)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def word_id(word: str) -> int:
    return sum(ord(char) * 7**at for at, char in enumerate(word)) % 997


def tokens_of(text: str) -> TokenVectors:
    """Return one token a word; words without a letter or digit have none."""
    words, spans, start = [], [], 0
    for word in text.split():
        start = text.index(word, start)
        if any(char.isalnum() for char in word):
            words.append(word.lower())
            spans.append((start, start + len(word)))
        start += len(word)
    return TokenVectors(
        vectors=np.array([word_vector(word) for word in words], np.float32).reshape(-1, WIDTH),
        ids=np.array([word_id(word) for word in words], np.int64),
        spans=np.array(spans, np.int32).reshape(-1, 2),
    )


@dataclass
class FakeBiEncoder:
    """Pools by mean, counts words, and writes down what it was asked."""

    name: str = "fake-bi"
    window: int = 64
    calls: list[tuple[str, tuple[str, ...], bool]] = field(default_factory=list)

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "document"],
        max_tokens: int | None,
        tokens: bool,
        context: RequestContext,
    ) -> Encoded:
        self.calls.append((kind, tuple(texts), tokens))
        limit = min(self.window, max_tokens or self.window)
        read = [" ".join(text.split()[:limit]) if text.split()[limit:] else text for text in texts]
        made = tuple(tokens_of(text) for text in read)
        pooled = np.stack([token.vectors.sum(axis=0) + 1e-3 for token in made])
        return Encoded(
            vectors=(pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32),
            tokens=made if tokens else None,
            counts=np.array([len(text.split()) for text in read]),
            truncated=np.array([bool(text.split()[limit:]) for text in texts]),
        )


@dataclass
class FakeCrossEncoder:
    """The logit is three times the number of shared words, less one a word of the document."""

    name: str = "fake-cross"
    window: int = 64
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def score(
        self, query: str, documents: Sequence[str], *, max_tokens: int, context: RequestContext
    ) -> Scored:
        self.calls.append(tuple(documents))
        words = set(query.lower().split())
        read = [document.lower().split()[:max_tokens] for document in documents]
        return Scored(
            logits=np.array([3 * len(words & set(r)) - len(r) for r in read], np.float32),
            query_tokens=len(query.split()),
            counts=np.array([len(r) for r in read]),
            truncated=np.array([len(document.split()) > max_tokens for document in documents]),
            query_truncated=len(query.split()) > self.window,
        )


@dataclass
class FakeModels:
    """Answers every id with the same two models."""

    bi_encoder: FakeBiEncoder = field(default_factory=FakeBiEncoder)
    cross_encoder: FakeCrossEncoder = field(default_factory=FakeCrossEncoder)

    def bi(self, model: str) -> FakeBiEncoder:
        return self.bi_encoder

    def cross(self, model: str) -> FakeCrossEncoder:
        return self.cross_encoder
