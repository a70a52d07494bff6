"""The v3 dialect: `POST /api/v3/inference/reranker`."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from reranker.errors import InvalidRequest
from reranker.types import (
    DEFAULT_MAX_TOKENS_PER_DOC,
    DEFAULT_METHOD,
    DEFAULT_STAGE1_TOP_K,
    Document,
    Ranking,
    RerankRequest,
    ScoredDocument,
)
from reranker_server.dialects.base import Ask, Asked, Dialect
from reranker_server.errors import TooLarge
from reranker_server.v3.schemas import RerankBody

PATH = "/api/v3/inference/reranker"


def parse(ask: Ask) -> Asked:
    """Read a body.

    Raises:
        InvalidRequest: a field is missing or out of range; `param` names it.
        TooLarge: there are too many documents.
    """
    documents, most = ask.payload.get("documents"), ask.settings.max_documents
    if isinstance(documents, list) and len(documents) > most:
        raise TooLarge(f"{len(documents)} documents, at most {most} are allowed", param="documents")
    try:
        body = RerankBody.model_validate(ask.payload)
    except ValidationError as error:
        raise _invalid(error) from error
    request = RerankRequest(
        query=body.query,
        documents=_documents(body),
        model=body.model,
        method=DEFAULT_METHOD if body.method is None else body.method,
        model_cross=body.model_cross,
        top_n=body.top_n,
        stage1_top_k=body.stage1_top_k or DEFAULT_STAGE1_TOP_K,
        max_tokens_per_doc=body.max_tokens_per_doc or DEFAULT_MAX_TOKENS_PER_DOC,
        score_threshold=body.score_threshold,
        explain=bool(body.explain),
        context=ask.call(body.timeout_ms, body.batch_size),
    )
    return Asked((request,), lambda rankings: render(rankings[0], body))


def _documents(body: RerankBody) -> tuple[Document, ...]:
    documents = []
    for index, value in enumerate(body.documents):
        try:
            documents.append(Document.of(value, body.fields))
        except InvalidRequest as error:
            raise InvalidRequest(error.message, param=f"documents[{index}]") from error
    return tuple(documents)


def _invalid(error: ValidationError) -> InvalidRequest:
    """Say what is wrong with the first bad field, without echoing its value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = [part for part in first["loc"] if part not in ("function-plain[check]", "str")]
    name = str(path[0]) if path else None
    if len(path) > 1 and isinstance(path[1], int):
        name = f"{path[0]}[{path[1]}]"
        message = "must be a string or an object" if path[0] == "documents" else "must be a string"
        return InvalidRequest(f"{name}: {message}", param=name)
    plainer = {"too_short": "must not be empty", "is_instance_of": "Input should be a string"}
    return InvalidRequest(f"{name}: {plainer.get(first['type'], first['msg'])}", param=name)


def render(ranking: Ranking, body: RerankBody) -> dict[str, Any]:
    """Return the answer's body."""
    results = [_result(scored, body) for scored in ranking]
    meta: dict[str, Any] = {"method": ranking.method, "deployed_model_id": ranking.model}
    if ranking.model_cross is not None:
        meta["model_cross"] = ranking.model_cross
    if ranking.stage1_top_k is not None:
        meta["stage1_top_k"] = ranking.stage1_top_k
    usage = ranking.usage
    meta |= {
        "models": dict(ranking.models),
        "usage": {
            "query_tokens": usage.query_tokens,
            "document_tokens": usage.document_tokens,
            "total_tokens": usage.total_tokens,
            "cached": usage.cached,
        },
        "truncated": list(ranking.truncated),
        "timings_ms": {name: round(1e3 * seconds, 3) for name, seconds in ranking.seconds.items()},
        "warnings": list(ranking.warnings),
    }
    return {"results": results, "meta": meta}


def _result(scored: ScoredDocument, body: RerankBody) -> dict[str, Any]:
    result: dict[str, Any] = {"index": scored.index, "relevance_score": scored.score}
    if body.return_documents is not False:
        result["document"] = scored.document.original
    if body.explain:
        text = scored.document.text
        result["explanation"] = {
            "stages": dict(scored.stages),
            "features": dict(scored.features),
            "spans": [
                {"start": s.start, "end": s.end, "text": text[s.start : s.end], "score": s.score}
                for s in scored.spans
            ],
        }
    return result


DIALECT = Dialect("v3", parse)
