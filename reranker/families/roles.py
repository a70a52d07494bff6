"""The roles that models play for stages. A test hands in a fake, the engine the real thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reranker.tokenization.tokenizer import TextTokenizer
    from reranker.types import RequestContext, Usage

Memo = dict[str, Any]
"""What a method worked out of a text's vectors alone, by the method's name; a few numbers at most.

It is kept as long as the vectors are, so what is read from it must be what would be computed.
"""


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The contextual vectors of one text's t content tokens; special tokens are left out.

    Attributes:
        vectors: (t, d) float32, each row of unit length.
        ids: (t,) int64, vocabulary ids.
        spans: (t, 2) int32, the characters [start, end) of the text that each token covers.
        weights: (t,) float32 lexical weights of the model's own sparse head, or None.
        memo: what is kept beside the vectors.
    """

    vectors: NDArray[np.float32]
    ids: NDArray[np.int64]
    spans: NDArray[np.int32]
    weights: NDArray[np.float32] | None = None
    memo: Memo = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A bi-encoder's output for n texts.

    Attributes:
        vectors: (n, d) float32, pooled, each row of unit length.
        tokens: one `TokenVectors` per text if they were asked for, else None.
        truncated: (n,) bool, whether the text was cut.
        distinct: (n,) int64, equal for equal texts: the position of each text among the distinct
            ones, in order of first appearance.
        usage: what was read, each distinct text counted once.
    """

    vectors: NDArray[np.float32]
    tokens: tuple[TokenVectors, ...] | None
    truncated: NDArray[np.bool_]
    distinct: NDArray[np.int64]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Scored:
    """A cross-encoder's output for one query and n documents.

    Attributes:
        logits: (n,) float32.
        truncated: (n,) bool, whether the document was cut.
        usage: what was read, each distinct document counted once.
        query_truncated: whether the query was cut.
    """

    logits: NDArray[np.float32]
    truncated: NDArray[np.bool_]
    usage: Usage
    query_truncated: bool = False


class LoadedModel(Protocol):
    """What models have in every role."""

    @property
    def name(self) -> str:
        """The catalogue id of the weights."""

    @property
    def digest(self) -> str:
        """A digest of the weights."""

    @property
    def tokenizer(self) -> TextTokenizer | None:
        """The tokenizer, where the model has one to show."""


class BiEncoder(LoadedModel, Protocol):
    """Maps a text to one vector, and on request to one vector a token."""

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "document"],
        max_tokens: int | None,
        tokens: bool,
        context: RequestContext,
    ) -> Encoded:
        """Encode texts.

        Args:
            texts: n texts; equal texts are computed once.
            kind: chooses the model's own prompt, where it has one.
            max_tokens: the most tokens read of each, special ones left out; None: the window.
            tokens: whether token vectors are needed too.
            context: deadline, cancellation and batch size.
        """


class CrossEncoder(LoadedModel, Protocol):
    """Reads query and document together and returns one logit."""

    def score(
        self, query: str, documents: Sequence[str], *, max_tokens: int, context: RequestContext
    ) -> Scored:
        """Score n documents for one query; of each at most `max_tokens` tokens are read."""
