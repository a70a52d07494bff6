"""Bodies in and out: read with a limit, parsed strictly, validated, written whatever they hold."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from reranker.errors import Cancelled, InvalidRequest, Overloaded
from reranker_server.errors import BadBody, Compressed, NoDocuments, SlowBody, TooLarge

if TYPE_CHECKING:
    from starlette.requests import Request

    Reserve = Callable[[int], None]

ModelT = TypeVar("ModelT", bound=BaseModel)

_MAX_DEPTH = 64  # of lists and objects within each other


class BodyBudget:
    """Bytes of request bodies in memory, all requests together.

    Args:
        limit: the most bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.reserved = 0

    @contextlib.contextmanager
    def reserve(self) -> Iterator[Reserve]:
        """Yield a function that reserves bytes until the block ends.

        Raises:
            Overloaded: raised by that function when the budget is used up.
        """
        mine = 0

        def reserve(size: int) -> None:
            nonlocal mine
            if self.reserved + size > self._limit:
                raise Overloaded("the server holds as many bodies as it may; try again")
            self.reserved += size
            mine += size

        try:
            yield reserve
        finally:
            self.reserved -= mine


async def read_body(
    request: Request,
    limit: int,
    reserve: Reserve = lambda _: None,
    seconds: float | None = None,
) -> bytes:
    """Read a body of at most `limit` bytes; a larger one is rejected as early as possible.

    Args:
        request: whose body it is.
        limit: the most bytes.
        reserve: called with each part's size before the part is kept; may raise.
        seconds: the most time.

    Raises:
        Compressed: the body has a Content-Encoding.
        TooLarge: the body is over the limit, or declares that it will be.
        SlowBody: it took too long.
        Cancelled: the client disconnected.
    """
    _check_encoding(request)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                reserve(len(part))
                parts.append(part)
    except TimeoutError as error:
        raise SlowBody(f"the body did not arrive within {seconds:g} seconds") from error
    except ClientDisconnect as error:
        raise Cancelled("the client disconnected") from error
    return b"".join(parts)


def _check_encoding(request: Request) -> None:
    for name in ",".join(request.headers.getlist("content-encoding")).split(","):
        if name.strip().lower() not in ("", "identity"):
            raise Compressed(
                f"a body with Content-Encoding {name.strip()!r} is not read; send it uncompressed"
            )


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit / 2**20:g} MiB")


def parse_json(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        BadBody: it is none, or nested too deeply; NaN and infinities are no JSON, and a number
            that would be read as one is rejected, too.
    """
    try:
        payload = json.loads(body, parse_constant=_reject_constant, parse_float=_finite)
        _check_depth(payload)
    except (ValueError, RecursionError) as error:
        raise BadBody("the body is not valid JSON") from error
    if not isinstance(payload, dict):
        raise BadBody("the body must be a JSON object")
    return payload


def _reject_constant(name: str) -> float:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _check_depth(payload: Any) -> None:
    """Raise ValueError for a value nested so deeply that writing it again might fail."""
    level = [payload]
    for _ in range(_MAX_DEPTH):
        inner = [v for v in level if isinstance(v, dict | list)]
        if not inner:
            return
        level = [v for each in inner for v in (each.values() if isinstance(each, dict) else each)]
    raise ValueError("nested too deeply")


def validate(model: type[ModelT], payload: Mapping[str, Any]) -> ModelT:
    """Validate a body.

    Raises:
        InvalidRequest: a field is missing or has a wrong value; `param` names the first one,
            and the message does not repeat its value.
    """
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ""
        for part in first["loc"]:
            place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
        kind = NoDocuments if first["type"] == "no_documents" else InvalidRequest
        raise kind(f"{place} {_MESSAGES.get(first['type'], first['msg'])}", param=place) from error


# pydantic's own, as predicates of the field; those of our own types are so already.
_MESSAGES = {
    "missing": "is missing",
    "is_instance_of": "must be a string",
    "too_short": "must not be empty",
    "list_type": "must be a list",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "greater_than_equal": "must be at least 1",
    "model_type": "must be an object",
}


def to_json(payload: Any) -> bytes:
    """Write JSON; text that UTF-8 cannot hold (lone surrogates) is escaped, as it was sent."""
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(payload, allow_nan=False, separators=(",", ":")).encode()
