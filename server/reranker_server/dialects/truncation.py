"""Callers who would rather be refused than have a text cut: TEI, Voyage and NIM let them say so.

Which texts are cut is known once they are read, so it is the outcome that is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reranker.errors import InvalidRequest
from reranker.types import Ranking

if TYPE_CHECKING:
    from reranker.operations import Embeddings
    from reranker_server.dialects.lenient_fields import Payload

_FIELDS = ("truncate", "truncation")


def forbidden(payload: Payload) -> str | None:
    """Return the field that forbids cutting texts, None if there is none."""
    return next((name for name in _FIELDS if _is_no(payload.get(name))), None)


def _is_no(value: Any) -> bool:
    return value is False or (isinstance(value, str) and value.lower() in ("false", "none"))


def check(payload: Payload, name: str, outcome: Ranking | Embeddings) -> None:
    """Check that nothing was cut against the caller's wish.

    Args:
        payload: what was sent.
        name: of its field with the texts.
        outcome: of the work.

    Raises:
        InvalidRequest: the query was cut, or the text that `param` names.
    """
    field = forbidden(payload)
    if field is None:
        return
    place = f"{name}[{outcome.truncated[0]}]" if outcome.truncated else None
    if isinstance(outcome, Ranking) and outcome.query_truncated:
        place = "query"
    if place is not None:
        raise InvalidRequest(
            f"{place} is too long to be read whole, and {field} forbids cutting it", param=place
        )
