"""Vectors: OpenAI's embeddings, TEI's /embed, and the tokens of a text as TEI and vLLM list them.

Token ids in the place of texts are ids of the model's own vocabulary, as vLLM and TEI take them,
not of OpenAI's.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Required

import numpy as np
from typing_extensions import TypedDict

from reranker.errors import InvalidRequest
from reranker.operations import EmbedRequest, TokenizeRequest
from reranker_server.dialects import lenient_fields as fields
from reranker_server.dialects import tei
from reranker_server.dialects import truncation as cuts
from reranker_server.dialects.base import Ask, Asked, Dialect
from reranker_server.dialects.ranking import lenient
from reranker_server.dialects.resolve_model import choose_role
from reranker_server.errors import NoDocuments, TooLarge

if TYPE_CHECKING:
    from reranker.operations import Embeddings, Input
    from reranker.tokenization.tokenizer import Piece

_QUERY_KINDS = ("query", "search_query")


class Body(TypedDict, total=False):
    """A request in OpenAI's shape; `input_type` and `truncation` are extensions, as Voyage has."""

    model: str
    input: Required[str | list[str] | list[int] | list[list[int]]]
    encoding_format: Literal["float", "base64"] | None
    dimensions: int | None
    input_type: str | None
    truncation: bool | None
    user: str


class Vector(TypedDict):
    """One vector: numbers, or little-endian float32 in base64."""

    object: str
    index: int
    embedding: list[float] | str


class Answer(TypedDict):
    """An answer in OpenAI's shape."""

    object: str
    data: list[Vector]
    model: str
    usage: dict[str, int]


class EmbedBody(TypedDict, total=False):
    """A request in the shape of TEI's /embed; vectors always have unit length."""

    inputs: Required[str | list[str] | list[int] | list[list[int]]]
    truncate: bool | None
    prompt_name: str | None
    dimensions: int | None
    model: str


class TokenizeBody(TypedDict, total=False):
    """A request for tokens: `inputs` as TEI, `prompt` as vLLM."""

    inputs: str | list[str]
    prompt: str
    add_special_tokens: bool
    model: str


class Token(TypedDict):
    """One token of a text, in TEI's shape."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class Count(TypedDict):
    """The tokens of a text, in vLLM's shape."""

    count: int
    tokens: list[int]


def _inputs(ask: Ask, name: str) -> tuple[Input, ...]:
    """Read texts or token ids: one or a list of either."""
    value = ask.payload.get(name)
    if isinstance(value, str) or (isinstance(value, list) and value and _is_id(value[0])):
        value = [value]
    if not isinstance(value, list):
        raise InvalidRequest(f"{name} must be a text, token ids, or a list of these", param=name)
    if not value:
        raise NoDocuments(f"{name} must hold at least one text", param=name)
    if len(value) > ask.settings.max_documents:
        raise TooLarge(
            f"{len(value)} texts, at most {ask.settings.max_documents} are allowed",
            param="documents",
        )
    return tuple(_input(each, f"{name}[{i}]", name) for i, each in enumerate(value))


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _input(value: Any, place: str, name: str) -> Input:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(_is_id(each) for each in value):
        return tuple(value)
    raise InvalidRequest(f"{place} must be a text or a list of token ids", param=name)


def _request(ask: Ask, name: str, kind: str | None) -> tuple[EmbedRequest, str]:
    role, model = choose_role(ask, "bi-encoder")
    if role != "bi-encoder":
        raise InvalidRequest(f"{model!r} gives scores, no vectors", param="model")
    dimensions = fields.whole(ask.payload, "dimensions", "output_dimension")
    if dimensions == 0:
        raise InvalidRequest("dimensions must be at least 1", param="dimensions")
    request = EmbedRequest(
        inputs=_inputs(ask, name),
        model=model,
        kind="query" if kind in _QUERY_KINDS else "document",
        dimensions=dimensions,
        context=ask.call(fields.whole(ask.payload, "timeout_ms"), None),
    )
    return request, model


def _openai(ask: Ask) -> Asked:
    request, label = _request(ask, "input", fields.text(ask.payload, "input_type"))
    form = fields.text(ask.payload, "encoding_format") or "float"
    if form not in ("float", "base64"):
        raise InvalidRequest("encoding_format must be float or base64", param="encoding_format")

    def render(made: Sequence[Embeddings]) -> Answer:
        cuts.check(ask.payload, "input", made[0])
        vectors = np.asarray(made[0].vectors, dtype="<f4")
        tokens = made[0].usage.total_tokens
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": i, "embedding": _write(vector, form)}
                for i, vector in enumerate(vectors)
            ],
            "model": label,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    return Asked((request,), render)


def _write(vector: Any, form: str) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(vector.tobytes()).decode("ascii")
    return [float(each) for each in vector]


def _tei(ask: Ask) -> Asked:
    request, _ = _request(ask, "inputs", fields.text(ask.payload, "prompt_name"))

    def render(made: Sequence[Embeddings]) -> Any:
        cuts.check(ask.payload, "inputs", made[0])
        return made[0].vectors.tolist()

    return Asked((request,), render)


def _tokenize(ask: Ask) -> Asked:
    name = "prompt" if "prompt" in ask.payload else "inputs"
    texts = tuple(each for each in _inputs(ask, name) if isinstance(each, str))
    if not texts:
        raise InvalidRequest(f"{name} must be a text or a list of texts", param=name)
    role, model = choose_role(ask, "bi-encoder")
    special = fields.flag(ask.payload, "add_special_tokens") is not False
    request = TokenizeRequest(texts, model, role, special, ask.call(None, None))

    def render(made: Sequence[Sequence[Sequence[Piece]]]) -> Any:
        if name == "prompt":
            ids = [piece.id for piece in made[0][0]]
            return {"count": len(ids), "tokens": ids}
        return [[_token(piece) for piece in pieces] for pieces in made[0]]

    return Asked((request,), render)


def _token(piece: Piece) -> Token:
    start, stop = (None, None) if piece.special else piece.span
    return {
        "id": piece.id,
        "text": piece.text,
        "special": piece.special,
        "start": start,
        "stop": stop,
    }


OPENAI = Dialect("openai", _openai, lenient, None, Body, Answer)
TEI = Dialect("tei-embed", _tei, tei.refuse, None, EmbedBody, list[list[float]], tei.Error)
TOKENIZE = Dialect(
    "tei-tokenize",
    _tokenize,
    tei.refuse,
    None,
    TokenizeBody,
    list[list[Token]] | Count,
    tei.Error,
)
