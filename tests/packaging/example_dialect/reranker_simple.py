"""`simple`: a dialect from another wheel; `lines` in, the same lines out, best first."""

from reranker import Ranking
from reranker_server.dialects import IncomingRequest, ParsedRanking, RankingRequest, ranking_dialect
from reranker_server.dialects.lenient_fields import TextList, documents_named


class SimpleRequest(RankingRequest):
    """A query and its lines."""

    documents: TextList = documents_named("lines")


def matches(incoming: IncomingRequest) -> bool:
    """Whether the documents are called `lines`."""
    return "lines" in incoming.payload


def render(parsed: ParsedRanking, ranking: Ranking) -> list[str]:
    """Return the lines, best first."""
    return [item.document.text for item in parsed.items(ranking)]


SIMPLE = ranking_dialect("simple", SimpleRequest, render, response=list[str], matches=matches)
