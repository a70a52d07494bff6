"""APIs that score pairs and respond in the order of the request: vLLM's score, and DeepInfra."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from typing_extensions import TypedDict

from reranker.errors import InvalidRequest
from reranker.types import Document, Ranking, RequestContext, RerankRequest, Usage, clean
from reranker_server.dialects.base import Dialect, IncomingRequest, ParsedRequest
from reranker_server.dialects.lenient_fields import (
    Count,
    Flag,
    check_length,
    field_type,
    lenient_error,
    named,
    read_content,
)
from reranker_server.dialects.ranking import as_400
from reranker_server.dialects.resolve_model import ModelChoice, ModelFields, resolve_model
from reranker_server.dialects.vendors.cohere import OpenaiUsage, openai_usage
from reranker_server.http.body import validate

_LEFT = ("text_1", "queries", "data_1", "query")
_RIGHT = ("text_2", "documents", "items", "data_2")


def _read_side(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise lenient_error("must hold at least one text", code="no_documents")
    texts = [read_content(each) for each in values]
    if any(text is None for text in texts):
        raise lenient_error("must be a text or a list of texts")
    return [clean(text) for text in texts if text is not None]


PairTexts = Annotated[list[str], field_type(_read_side, str | list[str])]


class PairRequest(ModelFields):
    """Pairs: a left text with a right one; one text goes with all the others."""

    left: PairTexts
    right: PairTexts
    raw_scores: Flag = None
    timeout_ms: Count = None

    @classmethod
    def prepare(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Let a side that is missing be read as null."""
        missing = (names[0] for names in (_LEFT, _RIGHT) if not payload.keys() & set(names))
        return {**payload, **dict.fromkeys(missing)}


class ScoreRequest(PairRequest):
    """A request in the shape of vLLM's score."""

    left: PairTexts = named(*_LEFT, default=...)
    right: PairTexts = named(*_RIGHT, default=...)


class DeepinfraRequest(PairRequest):
    """A request in DeepInfra's shape: one query for all documents, or one for each."""

    left: PairTexts = named("queries", *(name for name in _LEFT if name != "queries"), default=...)
    right: PairTexts = named("documents", *(n for n in _RIGHT if n != "documents"), default=...)


class ScoredPair(TypedDict):
    """One pair."""

    index: int
    object: str
    score: float


class ScoreResponse(TypedDict):
    """A response in the shape of vLLM's score."""

    id: str
    object: str
    created: int
    model: str
    data: list[ScoredPair]
    usage: OpenaiUsage


class DeepinfraResponse(TypedDict):
    """A response in DeepInfra's shape."""

    scores: list[float]
    input_tokens: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs grouped by query, as each query is one request to the engine.

    Attributes:
        groups: documents by query.
        places: of each pair, in the order of the request: which group, which document there.
    """

    groups: dict[str, list[Document]]
    places: list[tuple[int, int]]

    @classmethod
    def of(cls, left: list[str], right: list[str]) -> Pairs:
        """Pair texts.

        Raises:
            InvalidRequest: the lengths do not go together.
        """
        left = left * len(right) if len(left) == 1 else left
        right = right * len(left) if len(right) == 1 else right
        if len(left) != len(right):
            raise InvalidRequest(
                f"{len(left)} queries for {len(right)} documents; send one, or as many",
                param="documents",
            )
        groups: dict[str, list[Document]] = {}
        order: dict[str, int] = {}
        places = []
        for query, text in zip(left, right, strict=True):
            group = groups.setdefault(query, [])
            places.append((order.setdefault(query, len(order)), len(group)))
            group.append(Document.of(text))
        return cls(groups, places)

    def requests(self, choice: ModelChoice, context: RequestContext) -> list[RerankRequest]:
        """Return the engine's requests, one for each query."""
        return [
            RerankRequest(
                query=query,
                documents=tuple(documents),
                model=choice.model,
                method=choice.method,
                model_cross=choice.model_cross,
                # Every pair is scored; none is a candidate that another could push out.
                stage1_top_k=len(documents),
                context=context,
            )
            for query, documents in self.groups.items()
        ]

    def scores(self, rankings: Sequence[Ranking], *, raw: bool) -> list[float]:
        """Return the scores in the order of the request; raw ones are logits or cosines."""
        scores = {
            (group, scored.index): list(scored.stages.values())[-1]
            if raw and scored.stages
            else scored.score
            for group, ranking in enumerate(rankings)
            for scored in ranking
        }
        return [scores.get(place, 0.0) for place in self.places]


def _pair_dialect(
    name: str,
    request: type[PairRequest],
    render: Callable[[list[float], Usage, str], Any],
    response: Any,
    paths: tuple[str, ...],
) -> Dialect:
    def parse(incoming: IncomingRequest) -> ParsedRequest:
        body = validate(request, incoming.payload)
        for side in (body.left, body.right):
            check_length(len(side), incoming.settings.max_documents, "texts")
        pairs = Pairs.of(body.left, body.right)
        choice = resolve_model(incoming, body)
        requests = pairs.requests(choice, incoming.new_context(body.timeout_ms, None))

        def render_pairs(rankings: Sequence[Ranking]) -> Any:
            usage = sum((ranking.usage for ranking in rankings), Usage())
            scores = pairs.scores(rankings, raw=body.raw_scores is True)
            return render(scores, usage, choice.label)

        operations = tuple(incoming.engine.rank_operation(each) for each in requests)
        return ParsedRequest(operations, render_pairs)

    return Dialect(name, parse, request, response, paths, render_error=as_400)


def _render_score(scores: list[float], usage: Usage, label: str) -> ScoreResponse:
    return {
        "id": f"score-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": label,
        "data": [{"index": i, "object": "score", "score": each} for i, each in enumerate(scores)],
        "usage": openai_usage(usage),
    }


def _render_deepinfra(scores: list[float], usage: Usage, _: str) -> DeepinfraResponse:
    return {"scores": scores, "input_tokens": usage.total_tokens}


SCORE = _pair_dialect("score", ScoreRequest, _render_score, ScoreResponse, ("/score", "/v1/score"))
DEEPINFRA = _pair_dialect(
    "deepinfra",
    DeepinfraRequest,
    _render_deepinfra,
    DeepinfraResponse,
    ("/inference/{model:path}", "/v1/inference/{model:path}"),
)
