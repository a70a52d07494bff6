"""ASGI middleware around all routes: request ids, records, timing and security headers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Route

from reranker_server.http.responses import error_response
from reranker_server.http.security_headers import add_page_headers
from reranker_server.observability.request_log import RequestRecord, current_request_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Sink = Callable[[RequestRecord], None]

REQUEST_ID = "x-request-id"
CLIENT_CLOSED_REQUEST = 499  # as nginx logs a client that disconnected
_TRACE_HEADERS = ("traceparent", "tracestate", "baggage")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestRecording:
    """Gives each request an id and a record, and passes the record on when it is over.

    Args:
        app: the application.
        sinks: called with each finished record: access log, metrics, traces.
    """

    def __init__(self, app: ASGIApp, sinks: Sequence[Sink]) -> None:
        self._app = app
        self._sinks = tuple(sinks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        record = RequestRecord(_request_id(headers), scope["method"])
        record.trace = {name: headers[name] for name in _TRACE_HEADERS if name in headers}
        scope.setdefault("state", {})["record"] = record
        current_request_id.set(record.id)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                response = MutableHeaders(scope=message)
                response[REQUEST_ID] = record.id
                response.update(record.timing_headers())
                response.setdefault("x-content-type-options", "nosniff")
                if response.get("content-type", "").startswith("text/html"):
                    add_page_headers(response, scope["path"])
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # a route's own bug
            if record.status:
                raise
            await error_response(error)(scope, receive, send_with_headers)
        finally:
            route = scope.get("route")
            record.route = route.path if isinstance(route, Route) else "none"
            if record.cancelled or not record.status:
                record.status = CLIENT_CLOSED_REQUEST
            for sink in self._sinks:
                sink(record)


def _request_id(headers: Headers) -> str:
    """Return the caller's own id if it is a plain one, else a new one."""
    own = headers.get(REQUEST_ID, "")
    return own if _ID.fullmatch(own) else uuid.uuid4().hex
