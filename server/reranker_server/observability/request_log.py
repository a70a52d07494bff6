"""What is seen of each request from outside: one record, filled on the way, told at the end.

Nothing in a record comes from a body but names and numbers: no document, no query, no key.
"""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders

from reranker import telemetry
from reranker.pipeline import registry
from reranker_server.access.auth import method_of
from reranker_server.admission.estimate import characters_of
from reranker_server.http.security_headers import protect

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from reranker_server.dialects.base import Work

REQUEST_ID = "x-request-id"
CALLER_GONE = 499  # as nginx writes it: no answer was given, since nobody waited for one

current_id: ContextVar[str] = ContextVar("request id", default="-")
_TRACE = ("traceparent", "tracestate", "baggage")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(slots=True)
class Record:
    """One request.

    `stages` holds seconds by stage of the ranking; `queue`, `tokenize` and `inference` are
    seconds too, `inference` being the time within the engine.
    """

    id: str
    verb: str = "GET"
    route: str = "none"
    trace: dict[str, str] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)
    began: int = field(default_factory=time.time_ns)
    status: int = 0
    dialect: str = "none"
    method: str = "none"
    caller: str = "-"
    documents: int = 0
    characters: int = 0
    tokens: int = 0
    cached: int = 0
    truncated: int = 0
    queue: float | None = None
    tokenize: float | None = None
    inference: float | None = None
    stages: dict[str, float] = field(default_factory=dict)
    device: str = "cpu"
    gone: bool = False

    @property
    def seconds(self) -> float:
        """Return the time since the request came in."""
        return time.perf_counter() - self.start

    def expect(self, work: Sequence[Work]) -> None:
        """Take down what was asked for."""
        method = method_of(work[0])
        self.method = method if method in _known_methods() else "unknown"
        self.documents = sum(len(getattr(each, "documents", ())) for each in work)
        self.characters = sum(characters_of(each) for each in work)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Time the block as waiting for a turn."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.queue = time.perf_counter() - start

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Time the block as work, and what is measured within it."""
        start = time.perf_counter()
        with telemetry.collect() as spent:
            try:
                yield
            finally:
                self.inference = time.perf_counter() - start
                self.tokenize = spent.get("tokenize")

    def note(self, outcomes: Sequence[Any]) -> None:
        """Take down what the engine says of its work."""
        for outcome in outcomes:
            usage = getattr(outcome, "usage", None)
            if usage is not None:
                self.tokens += usage.total_tokens
                self.cached += usage.cached
            self.truncated += len(getattr(outcome, "truncated", ()))
            for stage, seconds in getattr(outcome, "seconds", {}).items():
                if stage != "total":
                    self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def headers(self) -> dict[str, str]:
        """Return the times so far: Server-Timing for browsers, x- headers as TEI has them."""
        if self.inference is None:
            return {}
        parts = {
            "total": self.seconds,
            "queue": self.queue or 0.0,
            "tokenize": self.tokenize or 0.0,
            "inference": self.inference,
        }
        shown = {**parts, **{f"stage-{name}": value for name, value in self.stages.items()}}
        milliseconds = {name: f"{1e3 * value:.1f}" for name, value in shown.items()}
        return {
            "server-timing": ", ".join(f"{k};dur={v}" for k, v in milliseconds.items()),
            "x-compute-type": self.device,
            "x-compute-time": str(round(1e3 * self.inference)),
            "x-compute-characters": str(self.characters),
            "x-compute-tokens": str(self.tokens),
            "x-total-time": str(round(1e3 * parts["total"])),
            "x-queue-time": str(round(1e3 * parts["queue"])),
            "x-tokenization-time": str(round(1e3 * parts["tokenize"])),
            "x-inference-time": str(round(1e3 * self.inference)),
        }


Sink = Callable[[Record], None]


@cache
def _known_methods() -> frozenset[str]:
    """Return what may stand as a method in metrics and logs: never what a caller made up."""
    return frozenset((*registry.names(), "embed", "tokenize"))


def record_of(scope: Scope) -> Record:
    """Return the record of a request; one that nobody reads where none is kept."""
    record = scope.get("state", {}).get("record")
    return record if isinstance(record, Record) else Record("-")


class Observed:
    """Gives each request an id and a record, and tells the sinks when it is over.

    Args:
        app: what answers.
        sinks: told of each record; metrics, log, traces.
        failed: makes the answer where a route itself fails.
    """

    def __init__(
        self, app: ASGIApp, sinks: Sequence[Sink], failed: Callable[[Exception], Response]
    ) -> None:
        self._app = app
        self._failed = failed
        self._sinks = tuple(sinks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        record = Record(_request_id(headers), scope["method"])
        record.trace = {name: headers[name] for name in _TRACE if name in headers}
        scope.setdefault("state", {})["record"] = record
        current_id.set(record.id)

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                answer = MutableHeaders(scope=message)
                answer[REQUEST_ID] = record.id
                answer.update(record.headers())
                protect(answer, scope["path"])
            await send(message)

        try:
            await self._app(scope, receive, tell)
        except Exception as error:  # a route's own fault: log all, tell nothing
            if record.status:
                raise
            await self._failed(error)(scope, receive, tell)
        finally:
            record.route = getattr(scope.get("route"), "path", "none")
            if record.gone or not record.status:
                record.status = CALLER_GONE
            for sink in self._sinks:
                sink(record)


def _request_id(headers: Headers) -> str:
    """Return the caller's own id if it is a plain one, else a new one."""
    given = headers.get(REQUEST_ID, "")
    return given if _ID.fullmatch(given) else uuid.uuid4().hex
