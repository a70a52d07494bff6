"""One record per request: filled while it is handled, then logged, measured and traced.

A record holds names and numbers: no document, no query, no key.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reranker import telemetry

if TYPE_CHECKING:
    from starlette.types import Scope

    from reranker.operations import Operation, OperationResult

access_log = logging.getLogger("reranker_server.access")
current_request_id: ContextVar[str] = ContextVar("request id", default="-")


@dataclass(slots=True)
class RequestRecord:
    """One request.

    `stages` holds seconds by stage of the ranking; `queue`, `tokenize` and `inference` are
    seconds too, `inference` being the time within the engine.
    """

    id: str
    verb: str = "GET"
    route: str = "none"
    trace: dict[str, str] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)
    start_ns: int = field(default_factory=time.time_ns)
    status: int = 0
    dialect: str = "none"
    method: str = "none"
    caller: str = "-"
    documents: int = 0
    characters: int = 0
    estimated_tokens: int = 0
    tokens: int = 0
    cached: int = 0
    truncated: int = 0
    queue: float | None = None
    tokenize: float | None = None
    inference: float | None = None
    stages: dict[str, float] = field(default_factory=dict)
    device: str = "cpu"
    cancelled: bool = False

    @property
    def seconds(self) -> float:
        """Return the time since the request came in."""
        return time.perf_counter() - self.start

    def add_request(self, operations: Sequence[Operation]) -> None:
        """Record the sizes of the request."""
        self.method = operations[0].name
        self.documents = sum(each.document_count for each in operations)
        self.characters = sum(each.characters for each in operations)
        self.estimated_tokens = sum(each.estimated_tokens for each in operations)

    @contextlib.contextmanager
    def time_queue(self) -> Iterator[None]:
        """Record the block's time as waiting for a permit."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.queue = time.perf_counter() - start

    @contextlib.contextmanager
    def time_inference(self) -> Iterator[None]:
        """Record the block's time as inference, and the tokenizing within it."""
        start = time.perf_counter()
        with telemetry.collect() as spent:
            try:
                yield
            finally:
                self.inference = time.perf_counter() - start
                self.tokenize = spent.get("tokenize")

    def add_results(self, results: Sequence[OperationResult]) -> None:
        """Record what the engine reports."""
        for result in results:
            self.tokens += result.usage.total_tokens
            self.cached += result.usage.cached
            self.truncated += len(result.truncated)
            for stage, seconds in result.seconds.items():
                if stage != "total":
                    self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def timing_headers(self) -> dict[str, str]:
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


def request_record(scope: Scope) -> RequestRecord:
    """Return the record of the middleware, or an unused one where there is none."""
    record = scope.get("state", {}).get("record")
    return record if isinstance(record, RequestRecord) else RequestRecord("-")


def log_request(record: RequestRecord) -> None:
    """Write the access log's line of a finished request."""
    values: dict[str, Any] = {
        "route": record.route,
        "status": record.status,
        "dialect": record.dialect,
        "method": record.method,
        "key": record.caller,
        "ms": round(1e3 * record.seconds, 1),
        "documents": record.documents,
        "tokens": record.tokens,
        "cached": record.cached,
        "truncated": record.truncated,
        "queue_ms": None if record.queue is None else round(1e3 * record.queue, 1),
        "stages_ms": {name: round(1e3 * value, 1) for name, value in record.stages.items()},
    }
    line = " ".join(f"{k}={v}" for k, v in values.items() if k != "stages_ms" and v is not None)
    quiet = record.dialect == "none" and record.status < 400  # probes, scrapes, pages
    access_log.log(logging.DEBUG if quiet else logging.INFO, line, extra={"request": values})
