"""The simplest cross-encoder to extend: a function of two texts, with words for tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reranker.errors import InferenceError
from reranker.families.base import Features, Run, ScoreOptions
from reranker.families.records import ScoreCodec, ScoreRecord

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TextPair:
    """A query and a document, cut, with the words that are read of the document."""

    query: str
    document: str
    count: int
    truncated: bool

    @property
    def length(self) -> int:
        """Words of both."""
        return len(self.query.split()) + self.count


@dataclass(frozen=True, slots=True)
class TextPairReading:
    """How documents are read beside a query; see `Reading`."""

    options: ScoreOptions
    kind: str = ""
    query_truncated: bool = False

    @property
    def query_tokens(self) -> int:
        """Words of the query."""
        return len(self.options.query.split())

    @property
    def scope(self) -> tuple[str | int, ...]:
        """The role, the cut and the query."""
        return ("cross-encoder", self.options.max_tokens, self.options.query)

    def accepts(self, _: ScoreRecord) -> bool:
        """Every record has all that is needed."""
        return True

    def prepare(self, texts: Sequence[str]) -> list[TextPair]:
        """Cut documents at `max_tokens` words."""
        pairs = []
        for text in texts:
            words, most = text.split(), self.options.max_tokens
            cut = " ".join(words[:most]) if len(words) > most else text
            read = min(len(words), most)
            pairs.append(TextPair(self.options.query, cut, read, len(words) > most))
        return pairs


class TextPairModel(ABC):
    """A cross-encoder without a tokenizer or a network; see `FamilyModel`.

    A subclass gives `score_pairs`, and a `definition` that changes whenever its scores would.
    """

    window = 1 << 20
    dimensions: int | None = None
    tokenizer: None = None
    network: None = None
    weights: Sequence[torch.nn.Module] = ()
    codec = ScoreCodec()

    definition: str
    """All that scores depend on, as text; part of the keys of shared caches."""

    @abstractmethod
    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Return one logit for each (query, document)."""

    def read(self, options: ScoreOptions) -> TextPairReading:
        """Return how documents are read beside the query."""
        return TextPairReading(options)

    def forward(self, items: list[TextPair], _: Run) -> list[ScoreRecord]:
        """Compute a batch's records."""
        scores = self.score_pairs([(item.query, item.document) for item in items])
        if len(scores) != len(items):
            raise InferenceError(
                f"score_pairs returned {len(scores)} scores for {len(items)} pairs"
            )
        return [
            ScoreRecord(float(score), item.count, item.truncated)
            for score, item in zip(scores, items, strict=True)
        ]

    def outputs(self, records: Sequence[ScoreRecord]) -> NDArray[np.float32]:
        """Return the (n,) logits."""
        return np.array([record.logit for record in records], dtype=np.float32)

    def sample_items(self, texts: Sequence[str], length: int) -> list[TextPair]:
        """Return pairs of real text."""
        return TextPairReading(ScoreOptions("what is this about", length)).prepare(texts)

    def features(self, items: list[TextPair]) -> Features:
        """There is no network that would read them."""
        raise NotImplementedError
