"""OpenAI's embeddings."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from typing_extensions import TypedDict

from reranker_server.dialects.base import Dialect, IncomingRequest, ParsedRequest
from reranker_server.dialects.embeddings.vectors_request import (
    Inputs,
    VectorsRequest,
    embed_request,
)
from reranker_server.dialects.lenient_fields import Text, field_type, lenient_error, read_text
from reranker_server.dialects.ranking import as_400
from reranker_server.http.body import validate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.operations.embedding import Embeddings


def _read_encoding(value: Any) -> str:
    encoding = read_text(value) or "float"
    if encoding not in ("float", "base64"):
        raise lenient_error("must be float or base64")
    return encoding


Encoding = Annotated[str, field_type(_read_encoding, Literal["float", "base64"])]


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


def _parse(incoming: IncomingRequest) -> ParsedRequest:
    body = validate(OpenaiRequest, incoming.payload)
    request = embed_request(incoming, body, body.input, body.input_type)

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


OPENAI = Dialect(
    "openai",
    _parse,
    OpenaiRequest,
    OpenaiResponse,
    ("/embeddings", "/v1/embeddings", "/voyage/v1/embeddings", "/infinity/embeddings"),
    render_error=as_400,
)
