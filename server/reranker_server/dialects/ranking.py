"""What all ranking dialects share: parsing a request, and the ranked items of the response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reranker.types import (
    DEFAULT_RANK_FIELDS,
    DEFAULT_STAGE1_TOP_K,
    Document,
    Ranking,
    RerankRequest,
)
from reranker_server.dialects.base import Dialect, IncomingRequest, ParsedRequest
from reranker_server.dialects.lenient_fields import parse_documents
from reranker_server.dialects.ranking_request import RankingOptions
from reranker_server.dialects.resolve_model import resolve_model
from reranker_server.errors import Problem
from reranker_server.http.body import validate

LOWEST_LOGIT = -100.0  # of what no model read: far below any logit, and JSON can hold it
LOWEST_COSINE = -1.0


@dataclass(frozen=True, slots=True)
class RankedItem:
    """One ranked document; `raw` is the last stage's own score, a logit or a cosine."""

    index: int
    score: float
    raw: float
    document: Document


@dataclass(frozen=True, slots=True)
class ParsedRanking:
    """A ranking request as read.

    Attributes:
        incoming: what was sent.
        body: its fields.
        request: the engine's request.
        label: the model's id to respond with.
    """

    incoming: IncomingRequest
    body: RankingOptions
    request: RerankRequest
    label: str

    @property
    def echo(self) -> bool | None:
        """Return whether documents are to be returned, None if the body does not say."""
        own = self.body.return_documents
        return self.body.parameters.return_documents if own is None else own

    def items(self, ranking: Ranking) -> list[RankedItem]:
        """Return the ranked documents, best first.

        Clients of other APIs pair results with documents by position, so what stage 1 of a
        two-stage method left out comes last with the lowest score, unless the body has a
        `stage1_top_k`.
        """
        raw = self.body.raw_scores is True
        lowest = LOWEST_COSINE if self.request.method == "fast" else LOWEST_LOGIT
        items = []
        for scored in ranking:
            logit = list(scored.stages.values())[-1] if scored.stages else lowest
            score = logit if raw else scored.score
            items.append(RankedItem(scored.index, score, logit, scored.document))
        if not self.body.stage1_top_k:
            ranked = {item.index for item in items}
            rest = (each for each in enumerate(self.request.documents) if each[0] not in ranked)
            score = lowest if raw else 0.0
            items += [RankedItem(i, score, lowest, document) for i, document in rest]
        return items[: self.request.top_n]


def as_text(document: Document) -> str:
    """Return a document as a string."""
    return document.original if isinstance(document.original, str) else document.text


def as_object(document: Document) -> dict[str, Any]:
    """Return a document as an object that has a `text`, whatever it was sent as."""
    if isinstance(document.original, str):
        return {"text": document.original}
    if isinstance(document.original.get("text"), str):
        return dict(document.original)
    return {**document.original, "text": document.text}


def as_400(problem: Problem) -> tuple[int, Any]:
    """Return an error as most APIs do: 400, as many SDKs take a 422 for FastAPI's own."""
    return (400 if problem.status == 422 else problem.status), problem.body()


def ranking_dialect(
    name: str,
    request: type[RankingOptions],
    render: Callable[[ParsedRanking, Ranking], Any],
    *,
    response: Any,
    paths: tuple[str, ...] = (),
    shared_paths: tuple[str, ...] = (),
    matches: Callable[[IncomingRequest], bool] | None = None,
    precedence: int = 0,
    render_error: Callable[[Problem], tuple[int, Any]] = as_400,
    error: Any = None,
) -> Dialect:
    """Return a dialect that ranks one list of documents for one query.

    It has a prefix of its own, too: `/{name}/rerank` and `/{name}/v1/rerank`, for those whose
    requests are the same, byte for byte, as another dialect's.

    The arguments are those of `Dialect`; `render` returns the response's body.
    """

    def parse(incoming: IncomingRequest) -> ParsedRequest:
        body = validate(request, incoming.payload)
        parsed = _parse(incoming, body)

        def render_checked(rankings: Sequence[Ranking]) -> Any:
            (ranking,) = rankings
            body.check_truncated(
                body.place, ranking.truncated, query_truncated=ranking.query_truncated
            )
            return render(parsed, ranking)

        operation = incoming.engine.rank_operation(parsed.request)
        return ParsedRequest((operation,), render_checked)

    return Dialect(
        name=name,
        parse=parse,
        request=request,
        response=response,
        paths=(*paths, f"/{name}/rerank", f"/{name}/v1/rerank"),
        shared_paths=shared_paths,
        matches=matches,
        precedence=precedence,
        render_error=render_error,
        error=error,
    )


def _parse(incoming: IncomingRequest, body: RankingOptions) -> ParsedRanking:
    documents = parse_documents(
        body.content.documents,
        body.rank_fields or DEFAULT_RANK_FIELDS,
        incoming.settings.max_documents,
        body.place,
    )
    choice = resolve_model(incoming, body)
    top_n = body.top_n or body.parameters.top_n
    request = RerankRequest(
        query=body.content.query,
        documents=documents,
        model=choice.model,
        method=choice.method,
        model_cross=choice.model_cross,
        top_n=min(top_n, len(documents)) if top_n else None,
        stage1_top_k=body.stage1_top_k or DEFAULT_STAGE1_TOP_K,
        max_tokens_per_doc=body.max_tokens,
        context=incoming.new_context(body.timeout_ms, None),
    )
    return ParsedRanking(incoming, body, request, choice.label)
