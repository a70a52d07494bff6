"""Handles one request, whatever its dialect: authenticate, parse, admit, execute, respond.

Large bodies are parsed, and all requests executed and rendered, on threads; the event loop moves
bytes and parses what takes less time than handing it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from reranker.errors import Cancelled, DeadlineExceeded, ModelUnavailable, RerankerError
from reranker.types import RequestContext
from reranker_server.access.auth import ApiKeys, check_allowed
from reranker_server.access.quotas import open_quotas
from reranker_server.admission.controller import AdmissionController
from reranker_server.dialects.base import Dialect, Endpoint, IncomingRequest, ParsedRequest
from reranker_server.errors import ShuttingDown
from reranker_server.http.body import BodyBudget, parse_json, read_body, to_json
from reranker_server.http.responses import error_response
from reranker_server.observability.request_log import RequestRecord, request_record

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker_server.access.keys import Caller
    from reranker_server.admission.controller import Permit
    from reranker_server.http.body import Reserve
    from reranker_server.settings import ServerSettings

_PARSE_THREADS = 2
_INLINE_BYTES = 32 * 1024  # a body up to this size is parsed in less than a millisecond
_SNIFF_BYTES, _SNIFF_SECONDS = 64 * 1024, 1.0


@dataclass(slots=True)
class Exchange:
    """One request being handled.

    Attributes:
        request: what came in.
        endpoint: the dialects of its route.
        dialect: the one it is in, as far as is known.
        record: its values for log, metrics and traces.
        start: in seconds of `time.monotonic()`.
    """

    request: Request
    endpoint: Endpoint
    dialect: Dialect
    record: RequestRecord
    start: float


class RequestHandler:
    """Handles requests; holds the engine, keys, quotas, admission control and threads.

    Args:
        engine: the engine.
        settings: keys and limits.
    """

    def __init__(self, engine: Reranker, settings: ServerSettings) -> None:
        self.engine = engine
        self.settings = settings
        self.keys = ApiKeys(settings.api_keys, settings.keys_file)
        self.quotas = open_quotas(settings)
        self.body_budget = BodyBudget(int(settings.max_buffered_mb * 2**20))
        self.admission = AdmissionController(
            settings.max_concurrent,
            settings.max_queue,
            settings.max_queue_tokens,
            settings.max_queue_ms / 1e3,
        )
        self.ready = threading.Event()
        self._parse_pool = ThreadPoolExecutor(_PARSE_THREADS, thread_name_prefix="parse")
        self._request_pool = ThreadPoolExecutor(
            settings.max_concurrent, thread_name_prefix="request"
        )

    def route(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """Return the function that FastAPI calls for a route."""

        async def respond(request: Request) -> Response:
            return await self._handle(request, endpoint)

        return respond

    async def _handle(self, request: Request, endpoint: Endpoint) -> Response:
        """Respond to one request; errors are rendered by its dialect."""
        record = request_record(request.scope)
        exchange = Exchange(request, endpoint, endpoint.dialect, record, time.monotonic())
        try:
            caller = await self._authenticate(exchange)
            with self.body_budget.reserve() as reserve:
                parsed = await self._read(exchange, reserve)
                for operation in parsed.operations:
                    check_allowed(caller, operation, self.engine.models.catalog)
                if not self.ready.is_set():
                    raise ModelUnavailable("the models are being loaded; try again soon")
                return await self._respond(exchange, parsed, caller)
        except Exception as error:  # others than ours are logged, and their text is not sent
            record.cancelled = isinstance(error, Cancelled)
            dialect = exchange.dialect
            return error_response(error, dialect.render_error, part=f"dialect {dialect.name!r}")
        finally:
            record.dialect = exchange.dialect.name

    async def _authenticate(self, exchange: Exchange) -> Caller:
        """Check key and rate before any more of the body than sniffing takes is read."""
        try:
            caller = self.keys.authenticate(exchange.request.headers)
            exchange.record.caller = caller.name
            await self.quotas.count_request(caller)
        except RerankerError:
            await self._sniff_dialect(exchange)
            raise
        return caller

    async def _sniff_dialect(self, exchange: Exchange) -> None:
        """Find the dialect of a request that is refused, from a small body alone."""
        if exchange.endpoint.others:
            with contextlib.suppress(RerankerError):
                body = await read_body(exchange.request, _SNIFF_BYTES, seconds=_SNIFF_SECONDS)
                incoming = self._incoming(exchange, body)
                exchange.dialect = exchange.endpoint.sniff_dialect(incoming)

    async def _read(self, exchange: Exchange, reserve: Reserve) -> ParsedRequest:
        body = await read_body(
            exchange.request,
            int(self.settings.max_body_mb * 2**20),
            reserve,
            self.settings.body_timeout_ms / 1e3,
        )
        if len(body) <= _INLINE_BYTES:
            return self._parse(exchange, body)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._parse_pool, self._parse, exchange, body)

    def _parse(self, exchange: Exchange, body: bytes) -> ParsedRequest:
        incoming = self._incoming(exchange, body)
        if exchange.endpoint.others:
            exchange.dialect = exchange.endpoint.sniff_dialect(incoming)
        parsed = exchange.dialect.parse(incoming)
        exchange.record.add_request(parsed.operations)
        return parsed

    def _incoming(self, exchange: Exchange, body: bytes) -> IncomingRequest:
        def new_context(timeout_ms: int | None, batch_size: int | None) -> RequestContext:
            milliseconds = min(timeout_ms or self.settings.timeout_ms, self.settings.max_timeout_ms)
            deadline = exchange.start + milliseconds / 1e3
            return RequestContext(deadline, threading.Event(), batch_size)

        request = exchange.request
        return IncomingRequest(
            parse_json(body),
            self.settings,
            self.engine,
            new_context,
            request.scope["path"],
            request.path_params.get("model"),
            request.headers,
        )

    async def _respond(self, exchange: Exchange, parsed: ParsedRequest, caller: Caller) -> Response:
        """Wait for a permit, execute, and charge; stop when the client disconnects."""
        context = parsed.operations[0].context
        tokens = exchange.record.estimated_tokens
        disconnected: asyncio.Future[None] = asyncio.ensure_future(_disconnect(exchange.request))
        try:
            async with self.quotas.charge(caller, tokens, context.remaining()) as charge:
                with exchange.record.time_queue():
                    permit = await self.admission.enter(caller.name, tokens, context, disconnected)
                work = self._submit(exchange.record, parsed, permit)
                futures: list[asyncio.Future[Any]] = [work, disconnected]
                await asyncio.wait(
                    futures, timeout=context.remaining(), return_when=asyncio.FIRST_COMPLETED
                )
                if not work.done():
                    if disconnected.done():
                        raise Cancelled("the client disconnected")
                    raise DeadlineExceeded("the deadline passed before the ranking was done")
                body = work.result()
                await charge.settle(exchange.record.tokens)
                return Response(body, media_type="application/json")
        finally:
            context.cancelled.set()
            disconnected.cancel()

    def _submit(
        self, record: RequestRecord, parsed: ParsedRequest, permit: Permit
    ) -> asyncio.Future[bytes]:
        """Execute on the pool; the permit is released at its end, also after a disconnect."""

        def release(work: asyncio.Future[bytes]) -> None:
            permit.release(done=not work.cancelled() and work.exception() is None)

        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        try:
            work = loop.run_in_executor(
                self._request_pool, context.run, self._execute, record, parsed
            )
        except RuntimeError as error:  # the pool is closed
            permit.release(done=False)
            raise ShuttingDown from error
        work.add_done_callback(release)
        return work

    def _execute(self, record: RequestRecord, parsed: ParsedRequest) -> bytes:
        """Run the operations and render the response's body."""
        with record.time_inference():
            results = [operation.run() for operation in parsed.operations]
            body = to_json(parsed.render(results))
        record.add_results(results)
        record.device = self.engine.models.device
        return body

    def close(self) -> None:
        """Accept no more requests and wait for those inside."""
        self.admission.close()
        self._parse_pool.shutdown(wait=True)
        self._request_pool.shutdown(wait=True)
        self.quotas.close()


async def _disconnect(request: Request) -> None:
    """Return when the client disconnects; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
