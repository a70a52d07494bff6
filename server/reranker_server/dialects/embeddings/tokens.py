"""The tokens of a text, as text-embeddings-inference and vLLM list them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

from reranker.errors import InvalidRequest
from reranker.operations.embedding import TokenizeRequest
from reranker_server.dialects.base import Dialect, IncomingRequest, ParsedRequest
from reranker_server.dialects.embeddings.vectors_request import Inputs
from reranker_server.dialects.lenient_fields import (
    Flag,
    LenientModel,
    Text,
    check_length,
    named,
)
from reranker_server.dialects.resolve_model import resolve_role
from reranker_server.dialects.tei import TeiError, render_tei_error
from reranker_server.http.body import validate

if TYPE_CHECKING:
    from reranker.operations.embedding import TokenizedTexts
    from reranker.tokenization.tokenizer import Piece


class TokenizeBody(LenientModel):
    """A request for tokens: `inputs` as TEI, `prompt` as vLLM."""

    inputs: Inputs = named("prompt", "inputs", default=...)
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


def _parse(incoming: IncomingRequest) -> ParsedRequest:
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


TEI_TOKENIZE = Dialect(
    "tei-tokenize",
    _parse,
    TokenizeBody,
    list[list[TeiToken]] | VllmTokens,
    ("/tokenize",),
    render_error=render_tei_error,
    error=TeiError,
)
