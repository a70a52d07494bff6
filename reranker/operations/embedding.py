"""Embedding and tokenizing: requests, results and operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from reranker.errors import InvalidRequest
from reranker.operations import LONGEST_WINDOW, estimate, use_of
from reranker.types import RequestContext, Usage, clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.hub.base import ModelPool
    from reranker.model_card import Role
    from reranker.tokenization.tokenizer import Piece, TextTokenizer

Input = str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """One request for vectors.

    Attributes:
        inputs: texts, or lists of ids of the model's own vocabulary.
        model: bi-encoder id.
        kind: chooses the model's own prompt, where it has one.
        dimensions: the first so many numbers of each vector, brought back to unit length.
            Only for models trained for it (Kusupati et al., "Matryoshka Representation
            Learning", NeurIPS 2022); all numbers if None.
        context: deadline, cancellation and batch size.
    """

    inputs: tuple[Input, ...]
    model: str
    kind: Literal["query", "document"] = "document"
    dimensions: int | None = None
    context: RequestContext = field(default_factory=RequestContext)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of n texts.

    Attributes:
        vectors: (n, d) float32, each row of unit length.
        model: catalogue id of the weights.
        usage: tokens read.
        truncated: indices of the texts that were cut.
        seconds: none; a ranking has the time of each stage here.
    """

    vectors: NDArray[np.float32]
    model: str
    usage: Usage = field(default_factory=Usage)
    truncated: tuple[int, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """One request for the tokens of texts.

    Attributes:
        texts: what to tokenize.
        model: id of the model whose tokenizer it is.
        role: of that model.
        special: whether the special tokens around a text are returned as well.
        context: deadline and cancellation.
    """

    texts: tuple[str, ...]
    model: str
    role: Role = "bi-encoder"
    special: bool = True
    context: RequestContext = field(default_factory=RequestContext)


@dataclass(frozen=True, slots=True)
class TokenizedTexts:
    """The tokens of each text, uncut; tokenizing alone costs nothing."""

    pieces: tuple[tuple[Piece, ...], ...]
    usage: Usage = field(default_factory=Usage)
    truncated: tuple[int, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


class EmbedOperation:
    """Embedding texts with one bi-encoder.

    Args:
        request: what to embed.
        pool: the models.

    Raises:
        InvalidRequest: there is no input.
        UnknownModel: the model is not in the catalogue.
    """

    name = "embed"
    document_count = 0

    def __init__(self, request: EmbedRequest, pool: ModelPool) -> None:
        if not request.inputs:
            raise InvalidRequest("input must hold at least one text", param="input")
        self.request = request
        self.models = (use_of(pool, "bi-encoder", request.model, "model"),)
        self.context = request.context
        self._pool = pool

    @cached_property
    def characters(self) -> int:
        """Return the length of the texts."""
        return sum(len(each) for each in self.request.inputs if isinstance(each, str))

    @cached_property
    def estimated_tokens(self) -> int:
        """Return about how many tokens will be read."""
        return sum(min(estimate(each), LONGEST_WINDOW) for each in self.request.inputs)

    def run(self) -> Embeddings:
        """Embed.

        Raises:
            InvalidRequest: an id outside the vocabulary, or dimensions that the model does not
                allow.
        """
        request, (use,) = self.request, self.models
        model = self._pool.bi_encoder(request.model)
        encoded = model.encode(
            [_text(each, model.tokenizer) for each in request.inputs],
            kind=request.kind,
            max_tokens=None,
            tokens=False,
            context=request.context,
        )
        return Embeddings(
            vectors=_shorten(encoded.vectors, request.dimensions, use.card.matryoshka),
            model=model.name,
            usage=encoded.usage,
            truncated=tuple(np.flatnonzero(encoded.truncated).tolist()),
        )


class TokenizeOperation:
    """Tokenizing texts as one model does.

    Args:
        request: what to tokenize.
        pool: the models.

    Raises:
        UnknownModel: the model is not in the catalogue.
    """

    name = "tokenize"
    document_count = 0

    def __init__(self, request: TokenizeRequest, pool: ModelPool) -> None:
        self.request = request
        self.models = (use_of(pool, request.role, request.model, "model"),)
        self.context = request.context
        self._pool = pool

    @cached_property
    def characters(self) -> int:
        """Return the length of the texts."""
        return sum(map(len, self.request.texts))

    @cached_property
    def estimated_tokens(self) -> int:
        """Return about how many tokens the texts have."""
        return sum(min(estimate(each), LONGEST_WINDOW) for each in self.request.texts)

    def run(self) -> TokenizedTexts:
        """Tokenize.

        Raises:
            InvalidRequest: the model has no tokenizer to show.
        """
        request, pool = self.request, self._pool
        load = pool.bi_encoder if request.role == "bi-encoder" else pool.cross_encoder
        tokenizer = load(request.model).tokenizer
        if tokenizer is None:
            raise InvalidRequest("this model does not show its tokenizer", param="model")
        return TokenizedTexts(
            tuple(tokenizer.pieces(clean(text), special=request.special) for text in request.texts)
        )


def _text(value: Input, tokenizer: TextTokenizer | None) -> str:
    if isinstance(value, str):
        return clean(value)
    text = tokenizer.text_of(value) if tokenizer is not None else None
    if text is None:
        raise InvalidRequest(
            "input has token ids outside the model's own vocabulary; send texts", param="input"
        )
    return text


def _shorten(
    vectors: NDArray[np.float32], dimensions: int | None, matryoshka: bool
) -> NDArray[np.float32]:
    whole = vectors.shape[1]
    if dimensions is None or dimensions == whole:
        return vectors
    if not matryoshka or not 1 <= dimensions < whole:
        range_ = f"1 to {whole}" if matryoshka else f"{whole} alone"
        raise InvalidRequest(f"this model allows dimensions of {range_}", param="dimensions")
    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.asarray(cut / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
