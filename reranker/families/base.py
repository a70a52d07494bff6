"""The two model roles as methods see them. A test hands in a fake, the engine the real thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reranker.types import RequestContext

Role = Literal["bi-encoder", "cross-encoder"]
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
    """What a bi-encoder makes of n texts.

    Attributes:
        vectors: (n, d) float32, pooled, each row of unit length.
        tokens: one `TokenVectors` per text if they were asked for, else None.
        counts: (n,) int64, tokens read of each text, special tokens left out.
        truncated: (n,) bool, whether the text was cut.
        cached: how many of the texts needed no model run.
    """

    vectors: NDArray[np.float32]
    tokens: tuple[TokenVectors, ...] | None
    counts: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """What a cross-encoder makes of one query and n documents.

    Attributes:
        logits: (n,) float32.
        query_tokens: tokens of the query that were read.
        counts: (n,) int64, tokens read of each document.
        truncated: (n,) bool, whether the document was cut.
        query_truncated: whether the query was cut.
        cached: how many of the pairs needed no model run.
    """

    logits: NDArray[np.float32]
    query_tokens: int
    counts: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    query_truncated: bool = False
    cached: int = 0


class BiEncoder(Protocol):
    """Maps a text to one vector, and on request to one vector a token."""

    @property
    def name(self) -> str:
        """The catalogue id of the weights."""

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
            tokens: whether the token vectors are wanted too.
            context: deadline, cancellation and batch size.
        """


class CrossEncoder(Protocol):
    """Reads query and document together and returns one logit."""

    @property
    def name(self) -> str:
        """The catalogue id of the weights."""

    def score(
        self, query: str, documents: Sequence[str], *, max_tokens: int, context: RequestContext
    ) -> Scored:
        """Score n documents for one query; of each at most `max_tokens` tokens are read."""


class Models(Protocol):
    """The seam between methods and everything below: an id becomes a model."""

    def bi(self, model: str) -> BiEncoder:
        """Return the bi-encoder that the id stands for.

        Raises:
            UnknownModel: no such id, or requests may not load it.
            ModelUnavailable: it could not be loaded, or is no bi-encoder.
        """

    def cross(self, model: str) -> CrossEncoder:
        """Return the cross-encoder that the id stands for; raises as `bi` does."""
