"""Hugging Face's text-embeddings-inference: `texts` in, a bare array out."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import IncomingRequest
from reranker_server.dialects.lenient_fields import Flag, TextList, documents_named, named
from reranker_server.dialects.ranking import ParsedRanking, as_text, ranking_dialect
from reranker_server.dialects.ranking_request import RankingRequest
from reranker_server.errors import Problem

# Our status -> TEI's status and type.
_STATUS = {
    400: (422, "Validation"),
    422: (422, "Validation"),
    429: (429, "Overloaded"),
    500: (424, "Backend"),
    503: (503, "Unhealthy"),
    504: (504, "Backend"),
}


class TeiRequest(RankingRequest):
    """A request in TEI's shape; `top_n` is honoured, though TEI itself has none."""

    documents: TextList = documents_named("texts")
    return_documents: Flag = named("return_text", "return_documents", "return_input")


class TeiRank(TypedDict):
    """One ranked text."""

    index: int
    text: NotRequired[str]
    score: float


class TeiError(TypedDict):
    """An error."""

    error: str
    error_type: str


def _matches(incoming: IncomingRequest) -> bool:
    """Whether there are `texts`, and no `documents`: llama.cpp's clients send both."""
    payload = incoming.payload
    return isinstance(payload.get("texts"), list) and not isinstance(payload.get("documents"), list)


def _render(parsed: ParsedRanking, ranking: Ranking) -> list[TeiRank]:
    ranks: list[TeiRank] = []
    for item in parsed.items(ranking):
        rank: TeiRank = {"index": item.index, "score": item.score}
        if parsed.echo:
            rank["text"] = as_text(item.document)
        ranks.append(rank)
    return ranks


def render_tei_error(problem: Problem) -> tuple[int, TeiError]:
    """Return status and body of an error as TEI has them."""
    if problem.code == "no_documents":
        status, kind = 400, "Empty"
    elif problem.code == "too_large" and problem.param == "documents":
        status, kind = 422, "Validation"
    else:
        status, kind = _STATUS.get(problem.status, (problem.status, "Validation"))
    return status, {"error": problem.message, "error_type": kind}


TEI = ranking_dialect(
    "tei",
    TeiRequest,
    _render,
    response=list[TeiRank],
    matches=_matches,
    render_error=render_tei_error,
    error=TeiError,
)
