"""Log formats: text, or one JSON object per line, without the content of requests or keys."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

from reranker.errors import RerankerError
from reranker_server.observability.request_log import current_request_id


class RequestIdFilter(logging.Filter):
    """Adds the id of the current request to each log line, `-` outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id; keep every line."""
        record.request_id = current_request_id.get()
        return True


class TextFormatter(logging.Formatter):
    """Lines for people to read.

    A library's exception may quote its input, so of an exception that is not our own only the
    type and the place are shown, unless `verbose`.
    """

    def __init__(self, form: str | None = None, *, verbose: bool = False) -> None:
        super().__init__(form)
        self._verbose = verbose

    def formatException(self, ei: Any) -> str:  # noqa: N802  (the name is logging's)
        """Return the stack, and the messages that are known to hold no content."""
        if self._verbose or ei[1] is None:
            return super().formatException(ei)
        error: BaseException | None = ei[1]
        parts = []
        while error is not None:
            message = f": {error.for_operator()}" if isinstance(error, RerankerError) else ""
            stack = "".join(traceback.format_tb(error.__traceback__))
            parts.append(f"{stack}{type(error).__module__}.{type(error).__qualname__}{message}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\ncaused by\n".join(parts)


class JsonFormatter(TextFormatter):
    """One JSON object per line; an access log line has its values as keys of their own."""

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
    """Set the format of the root logger's handlers, and add request ids."""
    root = logging.getLogger()
    verbose = root.isEnabledFor(logging.DEBUG)
    text = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s]: %(message)s"
    formatter = (
        JsonFormatter(verbose=verbose) if form == "json" else TextFormatter(text, verbose=verbose)
    )
    for handler in root.handlers:
        handler.addFilter(RequestIdFilter())
        handler.setFormatter(formatter)
