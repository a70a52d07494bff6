"""The v3 dialect: `POST /api/v3/inference/reranker`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reranker.errors import InvalidRequest
from reranker.types import (
    DEFAULT_MAX_TOKENS_PER_DOC,
    DEFAULT_METHOD,
    DEFAULT_RANK_FIELDS,
    DEFAULT_STAGE1_TOP_K,
    Document,
    Ranking,
    RerankRequest,
    ScoredDocument,
)
from reranker_server.dialects.base import Dialect, IncomingRequest, ParsedRequest
from reranker_server.dialects.lenient_fields import check_length
from reranker_server.http.body import validate
from reranker_server.v3.schemas import RerankBody, RerankResponse

PATH = "/api/v3/inference/reranker"


def _parse(incoming: IncomingRequest) -> ParsedRequest:
    body = validate(RerankBody, incoming.payload)
    check_length(len(body.documents), incoming.settings.max_documents, "documents")
    request = RerankRequest(
        query=body.query,
        documents=_documents(body),
        model=body.model,
        method=body.method or DEFAULT_METHOD,
        model_cross=body.model_cross,
        top_n=body.top_n,
        stage1_top_k=body.stage1_top_k or DEFAULT_STAGE1_TOP_K,
        max_tokens_per_doc=body.max_tokens_per_doc or DEFAULT_MAX_TOKENS_PER_DOC,
        score_threshold=body.score_threshold,
        explain=bool(body.explain),
        context=incoming.new_context(body.timeout_ms, body.batch_size),
    )

    def render(rankings: Sequence[Ranking]) -> dict[str, Any]:
        (ranking,) = rankings
        return _render(ranking, body)

    return ParsedRequest((incoming.engine.rank_operation(request),), render)


def _documents(body: RerankBody) -> tuple[Document, ...]:
    rank_fields = body.rank_fields or DEFAULT_RANK_FIELDS
    documents = []
    for index, value in enumerate(body.documents):
        try:
            documents.append(Document.of(value, rank_fields))
        except InvalidRequest as error:
            raise InvalidRequest(error.message, param=f"documents[{index}]") from error
    return tuple(documents)


def _render(ranking: Ranking, body: RerankBody) -> dict[str, Any]:
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


V3 = Dialect("v3", _parse, RerankBody, RerankResponse, (PATH,))
