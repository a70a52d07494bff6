"""What a piece of work costs in tokens: guessed before it is done, read off after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reranker.operations import EmbedRequest
from reranker.types import RerankRequest

if TYPE_CHECKING:
    from reranker_server.dialects.base import Work

_CHARACTERS_PER_TOKEN = 4  # of English text; only queueing and reserving go by it
_WINDOW = 8192  # tokens of the longest text that any model here reads whole


def tokens_of(work: Work) -> int:
    """Return about how many tokens the work will read."""
    if isinstance(work, RerankRequest):
        most = min(work.max_tokens_per_doc, _WINDOW)
        read = sum(min(_tokens(len(document.text)), most) for document in work.documents)
        return _tokens(len(work.query)) + read
    texts = work.inputs if isinstance(work, EmbedRequest) else work.texts
    return sum(
        min(_tokens(len(text)) if isinstance(text, str) else len(text) + 1, _WINDOW)
        for text in texts
    )


def characters_of(work: Work) -> int:
    """Return how many characters the work was sent with."""
    if isinstance(work, RerankRequest):
        return len(work.query) + sum(len(document.text) for document in work.documents)
    texts = work.inputs if isinstance(work, EmbedRequest) else work.texts
    return sum(len(text) for text in texts if isinstance(text, str))


def tokens_used(outcome: Any) -> int:
    """Return how many tokens the models read for an outcome; tokenising alone reads none."""
    usage = getattr(outcome, "usage", None)
    return int(usage.total_tokens) if usage is not None else 0


def _tokens(characters: int) -> int:
    return characters // _CHARACTERS_PER_TOKEN + 1
