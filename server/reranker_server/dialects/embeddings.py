"""Vectors: OpenAI's embeddings, TEI's /embed, and the tokens of a text as TEI and vLLM list them.

Token ids in the place of texts are ids of the model's own vocabulary, as vLLM and TEI take them,
not of OpenAI's.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from typing_extensions import TypedDict

from reranker.embedding import EmbedRequest, TokenizeRequest
from reranker.errors import InvalidRequest
from reranker_server.dialects.base import Dialect, IncomingRequest, ParsedRequest
from reranker_server.dialects.lenient_fields import (
    Count,
    Flag,
    LenientModel,
    Text,
    TruncationFields,
    check_length,
    field_type,
    lenient_error,
    named,
    read_count,
)
from reranker_server.dialects.ranking import as_400
from reranker_server.dialects.resolve_model import resolve_role
from reranker_server.dialects.tei import TeiError, render_tei_error
from reranker_server.http.body import validate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.embedding import Embeddings, Input, TokenizedTexts
    from reranker.tokenization.tokenizer import Piece

_QUERY_KINDS = ("query", "search_query")
_DOCUMENTED_INPUTS = str | list[str] | list[int] | list[list[int]]


def _read_inputs(value: Any) -> tuple[Input, ...]:
    """Read texts or token ids: one or a list of either."""
    if isinstance(value, str) or (isinstance(value, list) and value and _is_id(value[0])):
        value = [value]
    if not isinstance(value, list):
        raise lenient_error("must be a text, token ids, or a list of these")
    if not value:
        raise lenient_error("must hold at least one text", code="no_documents")
    return tuple(_read_input(each) for each in value)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _read_input(value: Any) -> Input:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(_is_id(each) for each in value):
        return tuple(value)
    raise lenient_error("must hold texts or lists of token ids")


def _read_encoding(value: Any) -> str:
    if value not in ("float", "base64"):
        raise lenient_error("must be float or base64")
    return str(value)


def _read_dimensions(value: Any) -> int | None:
    found = read_count(value)
    if found == 0:
        raise lenient_error("must be at least 1")
    return found


Inputs = Annotated[tuple[str | tuple[int, ...], ...], field_type(_read_inputs, _DOCUMENTED_INPUTS)]
InputTexts = Annotated[tuple[str | tuple[int, ...], ...], field_type(_read_inputs, str | list[str])]
Encoding = Annotated[str, field_type(_read_encoding, Literal["float", "base64"])]
Dimensions = Annotated[int | None, field_type(_read_dimensions, int | None)]


class VectorsRequest(TruncationFields):
    """What all requests for vectors have."""

    model: Text = None
    dimensions: Dimensions = named("dimensions", "output_dimension")
    timeout_ms: Count = None


class OpenaiRequest(VectorsRequest):
    """A request in OpenAI's shape; `input_type` and `truncation` are extensions, as Voyage has."""

    input: Inputs
    encoding_format: Encoding = "float"
    input_type: Text = None


class OpenaiVector(TypedDict):
    """One vector: numbers, or little-endian float32 in base64."""

    object: str
    index: int
    embedding: list[float] | str


class OpenaiResponse(TypedDict):
    """A response in OpenAI's shape."""

    object: str
    data: list[OpenaiVector]
    model: str
    usage: dict[str, int]


class TeiEmbedRequest(VectorsRequest):
    """A request in the shape of TEI's /embed; vectors always have unit length."""

    inputs: Inputs
    prompt_name: Text = None


class TokenizeBody(LenientModel):
    """A request for tokens: `inputs` as TEI, `prompt` as vLLM."""

    inputs: InputTexts = named("prompt", "inputs", default=...)
    add_special_tokens: Flag = None
    model: Text = None


class TeiToken(TypedDict):
    """One token of a text, in TEI's shape."""

    id: int
    text: str
    special: bool
    start: int | None
    stop: int | None


class VllmTokens(TypedDict):
    """The tokens of a text, in vLLM's shape."""

    count: int
    tokens: list[int]


def _embed_request(
    incoming: IncomingRequest, body: VectorsRequest, inputs: tuple[Input, ...], kind: str | None
) -> EmbedRequest:
    role, model = resolve_role(incoming, body.model, "bi-encoder")
    if role != "bi-encoder":
        raise InvalidRequest(f"{model!r} gives scores, no vectors", param="model")
    check_length(len(inputs), incoming.settings.max_documents, "texts")
    return EmbedRequest(
        inputs=inputs,
        model=model,
        kind="query" if kind in _QUERY_KINDS else "document",
        dimensions=body.dimensions,
        context=incoming.new_context(body.timeout_ms, None),
    )


def _parse_openai(incoming: IncomingRequest) -> ParsedRequest:
    body = validate(OpenaiRequest, incoming.payload)
    request = _embed_request(incoming, body, body.input, body.input_type)

    def render(results: Sequence[Embeddings]) -> OpenaiResponse:
        (embeddings,) = results
        body.check_truncated("input", embeddings.truncated)
        vectors = np.asarray(embeddings.vectors, dtype="<f4")
        tokens = embeddings.usage.total_tokens
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": i, "embedding": _encode(vector, body)}
                for i, vector in enumerate(vectors)
            ],
            "model": request.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    return ParsedRequest((incoming.engine.embed_operation(request),), render)


def _encode(vector: NDArray[np.float32], body: OpenaiRequest) -> list[float] | str:
    if body.encoding_format == "base64":
        return base64.b64encode(vector.tobytes()).decode("ascii")
    return [float(each) for each in vector]


def _parse_tei_embed(incoming: IncomingRequest) -> ParsedRequest:
    body = validate(TeiEmbedRequest, incoming.payload)
    request = _embed_request(incoming, body, body.inputs, body.prompt_name)

    def render(results: Sequence[Embeddings]) -> Any:
        (embeddings,) = results
        body.check_truncated("inputs", embeddings.truncated)
        return embeddings.vectors.tolist()

    return ParsedRequest((incoming.engine.embed_operation(request),), render)


def _parse_tokenize(incoming: IncomingRequest) -> ParsedRequest:
    body = validate(TokenizeBody, incoming.payload)
    texts = tuple(each for each in body.inputs if isinstance(each, str))
    if not texts:
        raise InvalidRequest("send a text or a list of texts", param="inputs")
    check_length(len(texts), incoming.settings.max_documents, "texts")
    role, model = resolve_role(incoming, body.model, "bi-encoder")
    request = TokenizeRequest(
        texts, model, role, body.add_special_tokens is not False, incoming.new_context(None, None)
    )
    as_vllm = incoming.payload.get("prompt") is not None

    def render(results: Sequence[TokenizedTexts]) -> list[list[TeiToken]] | VllmTokens:
        (tokens,) = results
        if as_vllm:
            ids = [piece.id for piece in tokens.pieces[0]]
            return {"count": len(ids), "tokens": ids}
        return [[_tei_token(piece) for piece in pieces] for pieces in tokens.pieces]

    return ParsedRequest((incoming.engine.tokenize_operation(request),), render)


def _tei_token(piece: Piece) -> TeiToken:
    start, stop = (None, None) if piece.special else piece.span
    return {
        "id": piece.id,
        "text": piece.text,
        "special": piece.special,
        "start": start,
        "stop": stop,
    }


OPENAI = Dialect(
    "openai",
    _parse_openai,
    OpenaiRequest,
    OpenaiResponse,
    ("/embeddings", "/v1/embeddings", "/voyage/v1/embeddings", "/infinity/embeddings"),
    render_error=as_400,
)
TEI_EMBED = Dialect(
    "tei-embed",
    _parse_tei_embed,
    TeiEmbedRequest,
    list[list[float]],
    ("/embed",),
    render_error=render_tei_error,
    error=TeiError,
)
TEI_TOKENIZE = Dialect(
    "tei-tokenize",
    _parse_tokenize,
    TokenizeBody,
    list[list[TeiToken]] | VllmTokens,
    ("/tokenize",),
    render_error=render_tei_error,
    error=TeiError,
)
