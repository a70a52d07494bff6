"""APIs that score pairs and answer in the order of the request: vLLM's score, and DeepInfra."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Required

from typing_extensions import TypedDict

from reranker.errors import InvalidRequest
from reranker.types import Document, Ranking, RerankRequest, Usage, clean
from reranker_server.dialects import lenient_fields as fields
from reranker_server.dialects.base import Ask, Asked, Dialect
from reranker_server.dialects.ranking import lenient
from reranker_server.dialects.resolve_model import choose
from reranker_server.dialects.vendors import cohere
from reranker_server.errors import NoDocuments, TooLarge

_LEFT = ("text_1", "queries", "data_1", "query")
_RIGHT = ("text_2", "documents", "items", "data_2")


class ScoreBody(cohere.Extensions, total=False):
    """Pairs: one of the first names with one of the second; one text goes with all the others."""

    model: str
    text_1: str | list[str]
    text_2: str | list[str]
    queries: str | list[str]
    documents: str | list[str]
    items: str | list[str]
    data_1: str | list[str]
    data_2: str | list[str]


class Score(TypedDict):
    """One pair."""

    index: int
    object: str
    score: float


class ScoreAnswer(TypedDict):
    """An answer in the shape of vLLM's score."""

    id: str
    object: str
    created: int
    model: str
    data: list[Score]
    usage: cohere.Usage


class InferenceBody(cohere.Extensions, total=False):
    """A request in DeepInfra's shape: one query for all documents, or one for each."""

    queries: Required[list[str]]
    documents: Required[list[str]]


class InferenceAnswer(TypedDict):
    """An answer in DeepInfra's shape."""

    scores: list[float]
    input_tokens: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was scored: each pair's place in the work, and the label of the model."""

    places: list[tuple[int, int]]
    label: str

    def scores(self, rankings: Sequence[Ranking], *, raw: bool) -> list[float]:
        """Return the scores in the order of the request; of what stage 1 left out, the lowest."""
        found = {
            (part, scored.index): list(scored.stages.values())[-1]
            if raw and scored.stages
            else scored.score
            for part, ranking in enumerate(rankings)
            for scored in ranking
        }
        return [found.get(place, 0.0) for place in self.places]


def read(ask: Ask) -> tuple[tuple[RerankRequest, ...], Pairs]:
    """Read pairs; those of one query make one request to the engine.

    Raises:
        InvalidRequest: a side is missing, or their lengths do not go together.
    """
    left, right = _side(ask, _LEFT), _side(ask, _RIGHT)
    if len(left) == 1:
        left *= len(right)
    if len(right) == 1:
        right *= len(left)
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
    choice = choose(ask)
    call = ask.call(fields.whole(ask.payload, "timeout_ms"), None)
    work = tuple(
        RerankRequest(
            query=query,
            documents=tuple(documents),
            model=choice.model,
            method=choice.method,
            model_cross=choice.model_cross,
            # Every pair is scored; none is a candidate that another could push out.
            stage1_top_k=len(documents),
            context=call,
        )
        for query, documents in groups.items()
    )
    return work, Pairs(places, choice.label)


def _side(ask: Ask, names: tuple[str, ...]) -> list[str]:
    value = fields.first(ask.payload, *names)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise NoDocuments(f"{names[0]} must hold at least one text", param=names[0])
    if len(values) > ask.settings.max_documents:
        raise TooLarge(
            f"{len(values)} texts, at most {ask.settings.max_documents} are allowed",
            param="documents",
        )
    texts = [fields.content(each) for each in values]
    if any(text is None for text in texts):
        raise InvalidRequest(f"send texts as {' or '.join(names)}", param=names[0])
    return [clean(text) for text in texts if text is not None]


def _parse(render: Callable[[Pairs, list[float], Usage], Any]) -> Callable[[Ask], Asked]:
    def parse(ask: Ask) -> Asked:
        work, pairs = read(ask)
        raw = fields.flag(ask.payload, "raw_scores") is True

        def answer(rankings: Sequence[Ranking]) -> Any:
            used = sum((ranking.usage for ranking in rankings), Usage())
            return render(pairs, pairs.scores(rankings, raw=raw), used)

        return Asked(work, answer)

    return parse


def _score(pairs: Pairs, scores: list[float], used: Usage) -> ScoreAnswer:
    return {
        "id": f"score-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": pairs.label,
        "data": [{"index": i, "object": "score", "score": each} for i, each in enumerate(scores)],
        "usage": {
            "prompt_tokens": used.total_tokens,
            "completion_tokens": 0,
            "total_tokens": used.total_tokens,
        },
    }


def _inference(_: Pairs, scores: list[float], used: Usage) -> InferenceAnswer:
    return {"scores": scores, "input_tokens": used.total_tokens}


SCORE = Dialect("score", _parse(_score), lenient, None, ScoreBody, ScoreAnswer)
DEEPINFRA = Dialect("deepinfra", _parse(_inference), lenient, None, InferenceBody, InferenceAnswer)
