"""The log: text, or one JSON object a line. Never a document's, a query's or a key's content."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from reranker_server.observe import Record, current_id

access = logging.getLogger("reranker_server.access")


class WithRequestId(logging.Filter):
    """Gives each log line the id of the request it is about, `-` outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id; no line is left out."""
        record.request_id = current_id.get()
        return True


class JsonFormatter(logging.Formatter):
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
    text = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s]: %(message)s"
    formatter = JsonFormatter() if form == "json" else logging.Formatter(text)
    for handler in logging.getLogger().handlers:
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
