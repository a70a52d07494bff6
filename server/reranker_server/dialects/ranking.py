"""What all dialects of ranking share.

From a body to the engine's request, and from the outcome to items that a dialect only has to
name its own way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reranker.types import (
    DEFAULT_MAX_TOKENS_PER_DOC,
    DEFAULT_RANK_FIELDS,
    DEFAULT_STAGE1_TOP_K,
    Document,
    Ranking,
    RerankRequest,
)
from reranker_server.dialects import lenient_fields as fields
from reranker_server.dialects import truncation as cuts
from reranker_server.dialects.base import Ask, Asked, Dialect
from reranker_server.dialects.resolve_model import choose
from reranker_server.errors import Problem

LOWEST_LOGIT = -100.0  # of what no model read: far below any logit, and JSON can hold it
LOWEST_COSINE = -1.0
_ECHO = ("return_documents", "return_text", "return_input")


@dataclass(frozen=True, slots=True)
class Item:
    """One ranked document; `raw` is the last stage's own score, a logit or a cosine."""

    index: int
    score: float
    raw: float
    document: Document


@dataclass(frozen=True, slots=True)
class Reading:
    """A body as read.

    Attributes:
        ask: what was sent.
        request: the engine's request.
        label: the model's id to answer with.
        echo: what the body says about returning documents, None if nothing.
        complete: every document is wanted back, so that two-stage methods are not the caller's
            wish to lose some.
    """

    ask: Ask
    request: RerankRequest
    label: str
    echo: bool | None
    complete: bool

    def items(self, ranking: Ranking) -> list[Item]:
        """Return what the ranking found, best first.

        Clients of other APIs pair results with documents by position, so what stage 1 of a
        two-stage method left out comes last, with the lowest score.
        """
        raw = fields.flag(self.ask.payload, "raw_scores") is True
        lowest = LOWEST_COSINE if self.request.method == "fast" else LOWEST_LOGIT
        items = []
        for scored in ranking:
            logit = list(scored.stages.values())[-1] if scored.stages else lowest
            score = logit if raw else scored.score
            items.append(Item(scored.index, score, logit, scored.document))
        if self.complete:
            found = {item.index for item in items}
            rest = (each for each in enumerate(self.request.documents) if each[0] not in found)
            items += [Item(i, lowest if raw else 0.0, lowest, document) for i, document in rest]
        return items[: self.request.top_n]


def read(ask: Ask, *, prefer_top_k: bool = False) -> Reading:
    """Read a body.

    Raises:
        InvalidRequest: query or documents are missing, or a number makes no sense.
        UnknownModel: there is no such model.
        TooLarge: there are too many documents.
    """
    payload = ask.payload
    inside = isinstance(payload.get("input"), Mapping)  # where DashScope has them
    inner, place = (payload["input"], "input.") if inside else (payload, "")
    more = fields.nested(payload, "parameters")
    order = ("top_k", "top_n") if prefer_top_k else ("top_n", "top_k")
    ranked_on = fields.names(payload, "rank_fields") or DEFAULT_RANK_FIELDS
    documents = fields.documents(inner, ranked_on, ask.settings.max_documents, place)
    choice = choose(ask)
    stage1 = fields.whole(payload, "stage1_top_k")
    top_n = fields.whole(payload, *order) or fields.whole(more, *order)
    echo = fields.flag(payload, *_ECHO)
    request = RerankRequest(
        query=fields.query(inner.get("query"), f"{place}query"),
        documents=documents,
        model=choice.model,
        method=choice.method,
        model_cross=choice.model_cross,
        top_n=min(top_n, len(documents)) if top_n else None,
        stage1_top_k=stage1 or DEFAULT_STAGE1_TOP_K,
        max_tokens_per_doc=_max_tokens(payload),
        context=ask.call(fields.whole(payload, "timeout_ms"), None),
    )
    return Reading(
        ask, request, choice.label, fields.flag(more, *_ECHO) if echo is None else echo, not stage1
    )


def _max_tokens(payload: Mapping[str, Any]) -> int:
    """Return the bound on a document's tokens; other APIs' ways to say so are never refused.

    Where cutting is forbidden, only the model's window is left to bound what none was sent for.
    """
    value = payload.get("max_tokens_per_doc")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    return DEFAULT_MAX_TOKENS_PER_DOC if cuts.forbidden(payload) is None else sys.maxsize


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


def lenient(trouble: Problem) -> tuple[int, Any]:
    """Return an error as most APIs tell it: 400, as many SDKs take a 422 for FastAPI's own."""
    return (400 if trouble.status == 422 else trouble.status), trouble.body()


def ranks(
    name: str,
    render: Callable[[Reading, Ranking], Any],
    *,
    body: Any,
    answer: Any,
    claims: Callable[[Ask], bool] | None = None,
    refuse: Callable[[Problem], tuple[int, Any]] = lenient,
    error: Any = None,
    prefer_top_k: bool = False,
) -> Dialect:
    """Return a dialect that ranks one list of documents for one query.

    Args:
        name: of the dialect; also its prefix of paths.
        render: makes the answer.
        body: what it takes, for the OpenAPI document.
        answer: what it gives, likewise.
        claims: whether a body on a shared route is in this dialect.
        refuse: an error's status and body.
        error: the type of that body.
        prefer_top_k: which of top_k and top_n counts where both are there.
    """

    def parse(ask: Ask) -> Asked:
        reading = read(ask, prefer_top_k=prefer_top_k)
        sent_in = fields.documents_key(ask.payload) or "documents"

        def checked(rankings: Sequence[Ranking]) -> Any:
            cuts.check(ask.payload, sent_in, rankings[0])
            return render(reading, rankings[0])

        return Asked((reading.request,), checked)

    return Dialect(name, parse, refuse, claims, body, answer, error)
