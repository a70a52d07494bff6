"""What requests for vectors share: texts or token ids in, one `EmbedRequest` out.

Token ids in the place of texts are ids of the model's own vocabulary, as vLLM and TEI take them,
not of OpenAI's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from reranker.errors import InvalidRequest
from reranker.operations.embedding import EmbedRequest
from reranker_server.dialects.lenient_fields import (
    Count,
    Text,
    TruncationFields,
    check_length,
    field_type,
    lenient_error,
    named,
    read_count,
)
from reranker_server.dialects.resolve_model import resolve_role

if TYPE_CHECKING:
    from reranker.operations.embedding import Input
    from reranker_server.dialects.base import IncomingRequest

_QUERY_KINDS = ("query", "search_query")


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


def _read_dimensions(value: Any) -> int | None:
    found = read_count(value)
    if found == 0:
        raise lenient_error("must be at least 1")
    return found


Inputs = Annotated[
    tuple[str | tuple[int, ...], ...],
    field_type(_read_inputs, str | list[str] | list[int] | list[list[int]]),
]
Dimensions = Annotated[int | None, field_type(_read_dimensions, int | None)]


class VectorsRequest(TruncationFields):
    """What all requests for vectors have."""

    model: Text = None
    dimensions: Dimensions = named("dimensions", "output_dimension")
    timeout_ms: Count = None


def embed_request(
    incoming: IncomingRequest, body: VectorsRequest, inputs: tuple[Input, ...], kind: str | None
) -> EmbedRequest:
    """Return the engine's request.

    Args:
        incoming: what was sent.
        body: its fields.
        inputs: texts or token ids.
        kind: what the body calls them, such as "search_query".

    Raises:
        InvalidRequest: the model is a cross-encoder.
        UnknownModel: there is no such model.
        TooLarge: there are too many inputs.
    """
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
