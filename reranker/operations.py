"""What a bi-encoder gives beside a ranking: vectors, and how it reads a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from reranker.errors import InvalidRequest
from reranker.types import RequestContext, Usage, clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.families.base import Role
    from reranker.hub.base import ModelPool
    from reranker.tokenization.tokenizer import Piece, TextTokenizer

Input = str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """One request for vectors.

    Attributes:
        inputs: texts, or texts given as ids of the model's own vocabulary.
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
    """Vectors, (n, d) float32 of unit length, the weights that made them, and what they cost."""

    vectors: NDArray[np.float32]
    model: str
    usage: Usage = field(default_factory=Usage)
    truncated: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """One request for the tokens of texts, as the model of that id reads them.

    `special` says whether the tokens that frame a text are wanted too.
    """

    texts: tuple[str, ...]
    model: str
    role: Role = "bi-encoder"
    special: bool = True
    context: RequestContext = field(default_factory=RequestContext)


def embed(request: EmbedRequest, models: ModelPool) -> Embeddings:
    """Return the vectors of texts.

    Raises:
        InvalidRequest: no input, an id outside the vocabulary, or dimensions that the model
            does not allow.
    """
    if not request.inputs:
        raise InvalidRequest("input must hold at least one text", param="input")
    model = models.bi_encoder(request.model)
    encoded = model.encode(
        [_text(each, model.tokenizer) for each in request.inputs],
        kind=request.kind,
        max_tokens=None,
        tokens=False,
        context=request.context,
    )
    return Embeddings(
        vectors=_shorten(encoded.vectors, request.dimensions, _shortens(request.model, models)),
        model=model.name,
        usage=encoded.usage,
        truncated=tuple(np.flatnonzero(encoded.truncated).tolist()),
    )


def _text(given: Input, tokenizer: TextTokenizer | None) -> str:
    if isinstance(given, str):
        return clean(given)
    text = tokenizer.text_of(given) if tokenizer is not None else None
    if text is None:
        raise InvalidRequest(
            "input has token ids outside the model's own vocabulary; send texts", param="input"
        )
    return text


def _shortens(model: str, models: ModelPool) -> bool:
    """Whether the model was trained so that the first numbers of a vector are one themselves."""
    return models.catalog.find("bi-encoder", model).matryoshka


def _shorten(
    vectors: NDArray[np.float32], dimensions: int | None, allowed: bool
) -> NDArray[np.float32]:
    whole = vectors.shape[1]
    if dimensions is None or dimensions == whole:
        return vectors
    if not allowed or not 1 <= dimensions < whole:
        range_ = f"1 to {whole}" if allowed else f"{whole} alone"
        raise InvalidRequest(f"this model allows dimensions of {range_}", param="dimensions")
    cut = vectors[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.asarray(cut / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def tokenize(request: TokenizeRequest, models: ModelPool) -> tuple[tuple[Piece, ...], ...]:
    """Return the tokens of each text, uncut.

    Raises:
        InvalidRequest: the model does not show how it reads.
    """
    bi = request.role == "bi-encoder"
    model = models.bi_encoder(request.model) if bi else models.cross_encoder(request.model)
    tokenizer = model.tokenizer
    if tokenizer is None:
        raise InvalidRequest("this model does not show its tokenizer", param="model")
    return tuple(tokenizer.pieces(clean(text), special=request.special) for text in request.texts)
