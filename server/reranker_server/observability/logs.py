"""The log: text, or one JSON object a line. Never a document's, a query's or a key's content."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

from reranker.errors import RerankerError
from reranker_server.observability.request_log import Record, current_id

access = logging.getLogger("reranker_server.access")


class WithRequestId(logging.Filter):
    """Gives each log line the id of the request it is about, `-` outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id; no line is left out."""
        record.request_id = current_id.get()
        return True


class TextFormatter(logging.Formatter):
    """Lines for people.

    A library's exception may quote its input, so of an exception that is not our own only the
    type and the place are shown, unless `frank`.
    """

    def __init__(self, form: str | None = None, *, frank: bool = False) -> None:
        super().__init__(form)
        self._frank = frank

    def formatException(self, ei: Any) -> str:  # noqa: N802  (the name is logging's)
        """Return the stack, and the messages that are known to hold no content."""
        if self._frank or ei[1] is None:
            return super().formatException(ei)
        error: BaseException | None = ei[1]
        parts = []
        while error is not None:
            said = f": {error.for_operator()}" if isinstance(error, RerankerError) else ""
            stack = "".join(traceback.format_tb(error.__traceback__))
            parts.append(f"{stack}{type(error).__module__}.{type(error).__qualname__}{said}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\ncaused by\n".join(parts)


class JsonFormatter(TextFormatter):
    """One JSON object a line; that of a request has its parts as keys of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", "-"),
        }
        line.update(getattr(record, "request", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(form: str) -> None:
    """Give the root's handlers the form asked for, and every line its request's id."""
    root = logging.getLogger()
    frank = root.isEnabledFor(logging.DEBUG)
    text = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s]: %(message)s"
    formatter = JsonFormatter(frank=frank) if form == "json" else TextFormatter(text, frank=frank)
    for handler in root.handlers:
        handler.addFilter(WithRequestId())
        handler.setFormatter(formatter)


def write(record: Record) -> None:
    """Log that a request is over; see `Observed`."""
    request: dict[str, Any] = {
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
    shown = " ".join(f"{k}={v}" for k, v in request.items() if k != "stages_ms" and v is not None)
    quiet = record.dialect == "none" and record.status < 400  # probes, scrapes, pages
    access.log(logging.DEBUG if quiet else logging.INFO, shown, extra={"request": request})
