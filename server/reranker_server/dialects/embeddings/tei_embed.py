"""Text-embeddings-inference: /embed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reranker_server.dialects.base import Dialect, IncomingRequest, ParsedRequest
from reranker_server.dialects.embeddings.vectors_request import (
    Inputs,
    VectorsRequest,
    embed_request,
)
from reranker_server.dialects.lenient_fields import Text
from reranker_server.dialects.tei import TeiError, render_tei_error
from reranker_server.http.body import validate

if TYPE_CHECKING:
    from reranker.operations.embedding import Embeddings


class TeiEmbedRequest(VectorsRequest):
    """A request in the shape of TEI's /embed; vectors always have unit length."""

    inputs: Inputs
    prompt_name: Text = None


def _parse(incoming: IncomingRequest) -> ParsedRequest:
    body = validate(TeiEmbedRequest, incoming.payload)
    request = embed_request(incoming, body, body.inputs, body.prompt_name)

    def render(results: Sequence[Embeddings]) -> Any:
        (embeddings,) = results
        body.check_truncated("inputs", embeddings.truncated)
        return embeddings.vectors.tolist()

    return ParsedRequest((incoming.engine.embed_operation(request),), render)


TEI_EMBED = Dialect(
    "tei-embed",
    _parse,
    TeiEmbedRequest,
    list[list[float]],
    ("/embed",),
    render_error=render_tei_error,
    error=TeiError,
)
