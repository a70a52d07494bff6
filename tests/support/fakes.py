"""Model doubles whose vectors can be worked out by hand: each word has its own direction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from reranker.families.roles import Encoded, Scored, TokenVectors
from reranker.hub.base import ModelStatus, State
from reranker.hub.catalog import Catalog
from reranker.model_card import ModelCard, Role
from reranker.types import RequestContext, Usage

WIDTH = 32


def word_vector(word: str) -> np.ndarray:
    """Return a unit vector that depends on the word alone."""
    seed = int.from_bytes(word.encode()[:7], "little")
    vector = np.random.default_rng(seed).normal(size=WIDTH)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def word_id(word: str) -> int:
    return sum(ord(char) * 7**at for at, char in enumerate(word)) % 997


def distinct(texts: Sequence[str]) -> np.ndarray:
    """Return the position of each text among the distinct ones."""
    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return np.array([place[text] for text in texts], np.int64)


def words(texts: Sequence[str]) -> int:
    """Return the words of the distinct texts."""
    return sum(len(text.split()) for text in dict.fromkeys(texts))


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
    """Pools by mean, counts words, and writes down the distinct texts of each call."""

    name: str = "fake-bi"
    digest: str = "digest-of-fake-bi"
    window: int = 64
    tokenizer: None = None
    calls: list[tuple[str, tuple[str, ...], bool]] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)  # of all calls together

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "document"],
        max_tokens: int | None,
        tokens: bool,
        context: RequestContext,
    ) -> Encoded:
        self.calls.append((kind, tuple(dict.fromkeys(texts)), tokens))
        limit = min(self.window, max_tokens or self.window)
        read = [" ".join(text.split()[:limit]) if text.split()[limit:] else text for text in texts]
        usage = Usage(**{f"{kind}_tokens": words(read)})
        self.usage += usage
        made = tuple(tokens_of(text) for text in read)
        pooled = np.stack([token.vectors.sum(axis=0) + 1e-3 for token in made])
        return Encoded(
            vectors=(pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32),
            tokens=made if tokens else None,
            truncated=np.array([bool(text.split()[limit:]) for text in texts]),
            distinct=distinct(texts),
            usage=usage,
        )


@dataclass
class FakeCrossEncoder:
    """The logit is three times the number of shared words, less one a word of the document."""

    name: str = "fake-cross"
    digest: str = "digest-of-fake-cross"
    window: int = 64
    tokenizer: None = None
    calls: list[tuple[str, ...]] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)  # of all calls together

    def score(
        self, query: str, documents: Sequence[str], *, max_tokens: int, context: RequestContext
    ) -> Scored:
        self.calls.append(tuple(dict.fromkeys(documents)))
        asked = set(query.lower().split())
        read = [document.lower().split()[:max_tokens] for document in documents]
        usage = Usage(len(query.split()), words([" ".join(r) for r in read]))
        self.usage += usage
        return Scored(
            logits=np.array([3 * len(asked & set(r)) - len(r) for r in read], np.float32),
            usage=usage,
            truncated=np.array([len(document.split()) > max_tokens for document in documents]),
            query_truncated=len(query.split()) > self.window,
        )


class AnyId(Catalog):
    """Knows every id: as a cross-encoder if it says so, else as a bi-encoder."""

    def find(self, role: Role, model: str) -> ModelCard:
        return ModelCard(model, role)

    def roles(self, model: str) -> tuple[Role, ...]:
        return ("cross-encoder",) if "cross" in model else ("bi-encoder",)

    def cards(self) -> tuple[tuple[str, ModelCard], ...]:
        pair: dict[str, Role] = {"bi": "bi-encoder", "cross": "cross-encoder"}
        return tuple((name, ModelCard(name, role)) for name, role in pair.items())


@dataclass
class FakeModels:
    """A `ModelPool` that answers every id with the same two models."""

    bi: FakeBiEncoder = field(default_factory=FakeBiEncoder)
    cross: FakeCrossEncoder = field(default_factory=FakeCrossEncoder)
    catalog: Catalog = field(default_factory=AnyId)
    device: str = "cpu"

    def bi_encoder(self, model: str) -> FakeBiEncoder:
        return self.bi

    def cross_encoder(self, model: str) -> FakeCrossEncoder:
        return self.cross

    def states(self) -> Mapping[str, State]:
        return {}

    def loaded(self) -> tuple[ModelStatus, ...]:
        return ()

    def warm(self, models: Iterable[tuple[Role, str]]) -> None:
        """Do nothing: a fake is always ready."""

    def close(self) -> None:
        """Do nothing."""
