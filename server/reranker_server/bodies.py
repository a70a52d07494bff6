"""Bodies in and out: read with a limit, parsed strictly, written whatever they hold."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reranker_server.errors import BadBody, TooLarge

if TYPE_CHECKING:
    from starlette.requests import Request


async def read_body(request: Request, limit: int) -> bytes:
    """Read a body of at most `limit` bytes; more is refused as soon as it is seen.

    Raises:
        TooLarge: the body is over the limit, or says it will be.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit / 2**20:g} MiB")


def parse_json(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        BadBody: it is none; NaN and infinities are no JSON.
    """
    try:
        payload = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadBody("the body is not valid JSON") from error
    if not isinstance(payload, dict):
        raise BadBody("the body must be a JSON object")
    return payload


def _refuse(name: str) -> float:
    raise ValueError(name)


def to_json(payload: Any) -> bytes:
    """Write JSON; text that UTF-8 cannot hold (lone surrogates) is escaped, as it was sent."""
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()
