"""The way of one request, whatever its dialect: body, permit, pool, engine, body.

Parsing, ranking and writing run on threads; the event loop only moves bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from reranker.errors import Cancelled, DeadlineExceeded, ModelUnavailable, RerankerError
from reranker.operations import EmbedRequest
from reranker.types import RequestContext, RerankRequest
from reranker_server.access.auth import Keys, check_allowed
from reranker_server.access.quotas import open_quotas
from reranker_server.admission.controller import Admission
from reranker_server.admission.estimate import tokens_of, tokens_used
from reranker_server.dialects.base import Ask, Asked, Dialect, Door, plain
from reranker_server.errors import Problem, ShuttingDown, problem
from reranker_server.http.body import Memory, parse_json, read_body, to_json
from reranker_server.observability.request_log import Record, record_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from reranker.engine import Reranker
    from reranker_server.access.keys import Caller
    from reranker_server.admission.controller import Permit
    from reranker_server.dialects.base import Work
    from reranker_server.settings import ServerSettings

log = logging.getLogger(__name__)
_INTAKE_THREADS = 2
_GLIMPSE_BYTES, _GLIMPSE_SECONDS = 64 * 1024, 1.0


@dataclass(slots=True)
class Turn:
    """One request on its way, and the dialect it is answered in as far as it is known."""

    start: float
    dialect: Dialect
    record: Record


class Serving:
    """What the endpoints share: engine, keys, permits, threads.

    Args:
        reranker: the engine.
        settings: keys and limits.
    """

    def __init__(self, reranker: Reranker, settings: ServerSettings) -> None:
        self.reranker = reranker
        self.settings = settings
        self.keys = Keys(settings.api_keys, settings.keys_file)
        self.quotas = open_quotas(settings)
        self.memory = Memory(int(settings.max_buffered_mb * 2**20))
        self.admission = Admission(
            settings.max_concurrent,
            settings.max_queue,
            settings.max_queue_tokens,
            settings.max_queue_ms / 1e3,
        )
        self.ready = threading.Event()
        self._intake = ThreadPoolExecutor(_INTAKE_THREADS, thread_name_prefix="intake")
        self._work = ThreadPoolExecutor(settings.max_concurrent, thread_name_prefix="request")

    async def answer(self, request: Request, door: Door) -> Response:
        """Answer one request; every error becomes its response, in the dialect's own shape."""
        turn = Turn(time.monotonic(), door.dialect, record_of(request.scope))
        try:
            caller = await self._greet(request, door, turn)
            with self.memory.room() as take:
                asked = await self._read(request, door, turn, take)
                for work in asked.work:
                    check_allowed(caller, work, self.reranker)
                if not self.ready.is_set():
                    raise ModelUnavailable("the models are being loaded; try again soon")
                return await self._answer(request, asked, caller, turn.record)
        except RerankerError as error:
            turn.record.gone = isinstance(error, Cancelled)
            return respond(problem(error), error, turn.dialect)
        except Exception as error:  # the last line of defence: log all, tell nothing
            return respond(problem(error), error, turn.dialect)
        finally:
            turn.record.dialect = turn.dialect.name

    async def _greet(self, request: Request, door: Door, turn: Turn) -> Caller:
        """Say who calls, and count it; no body is read for those without a key or over a rate."""
        try:
            caller = self.keys.check(request.headers)
            turn.record.caller = caller.name
            await self.quotas.count(caller)
        except RerankerError:
            await self._glimpse(request, door, turn)
            raise
        return caller

    async def _glimpse(self, request: Request, door: Door, turn: Turn) -> None:
        """Find out, from a small body alone, in which dialect a refusal should be."""
        if door.choose is not None:
            with contextlib.suppress(RerankerError):
                body = await read_body(request, _GLIMPSE_BYTES, seconds=_GLIMPSE_SECONDS)
                turn.dialect = door.choose(self._ask(request, body, turn))

    async def _read(
        self, request: Request, door: Door, turn: Turn, take: Callable[[int], None]
    ) -> Asked:
        limits = self.settings
        body = await read_body(
            request, int(limits.max_body_mb * 2**20), take, limits.body_timeout_ms / 1e3
        )
        loop = asyncio.get_running_loop()
        asked = await loop.run_in_executor(self._intake, self._parse, request, body, door, turn)
        turn.record.expect(asked.work)
        return asked

    def _parse(self, request: Request, body: bytes, door: Door, turn: Turn) -> Asked:
        """Read the body; the turn learns its dialect as soon as it is known."""
        ask = self._ask(request, body, turn)
        if door.choose is not None:
            turn.dialect = door.choose(ask)
        return turn.dialect.parse(ask)

    def _ask(self, request: Request, body: bytes, turn: Turn) -> Ask:
        return Ask(
            parse_json(body),
            self.settings,
            self.reranker,
            self._calls(turn.start),
            request.scope["path"],
            request.path_params.get("model"),
            request.headers,
        )

    def _calls(self, start: float) -> Callable[[int | None, int | None], RequestContext]:
        limit = self.settings.max_timeout_ms

        def call(timeout_ms: int | None, batch_size: int | None) -> RequestContext:
            seconds = min(timeout_ms or self.settings.timeout_ms, limit) / 1e3
            return RequestContext(start + seconds, threading.Event(), batch_size)

        return call

    async def _answer(
        self, request: Request, asked: Asked, caller: Caller, record: Record
    ) -> Response:
        """Wait for a turn, rank on the pool, charge; stop when nobody waits any more."""
        call, tokens = asked.call, sum(tokens_of(work) for work in asked.work)
        gone: asyncio.Future[None] = asyncio.ensure_future(_hung_up(request))
        try:
            async with self.quotas.charge(caller, tokens, call.remaining()) as charge:
                with record.waiting():
                    permit = await self.admission.enter(caller.name, tokens, call, gone)
                work = self._begin(asked, record, permit)
                either: list[asyncio.Future[Any]] = [work, gone]
                await asyncio.wait(
                    either, timeout=call.remaining(), return_when=asyncio.FIRST_COMPLETED
                )
                if not work.done():
                    if gone.done():
                        raise Cancelled("the caller hung up")
                    raise DeadlineExceeded("the deadline passed before the ranking was done")
                body, spent = work.result()
                await charge.settle(spent)
                return Response(body, media_type="application/json")
        finally:
            call.cancelled.set()
            gone.cancel()

    def _begin(
        self, asked: Asked, record: Record, permit: Permit
    ) -> asyncio.Future[tuple[bytes, int]]:
        """Hand the work to the pool; its permit is given back when it ends, heeded or not."""

        def end(work: asyncio.Future[tuple[bytes, int]]) -> None:
            permit.release(done=not work.cancelled() and work.exception() is None)

        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        try:
            work = loop.run_in_executor(self._work, context.run, self._run, asked, record)
        except RuntimeError as error:  # the pool is closed
            permit.release(done=False)
            raise ShuttingDown from error
        work.add_done_callback(end)
        return work

    def _run(self, asked: Asked, record: Record) -> tuple[bytes, int]:
        """Do the work; return the body and the tokens it took."""
        with record.working():
            outcomes = [self._do(work) for work in asked.work]
            body = to_json(asked.render(outcomes))
        record.note(outcomes)
        record.device = self.reranker.models.device
        return body, sum(map(tokens_used, outcomes))

    def _do(self, work: Work) -> Any:
        """Give one piece of work to the engine."""
        if isinstance(work, RerankRequest):
            return self.reranker.run(work)
        if isinstance(work, EmbedRequest):
            return self.reranker.encode(work)
        return self.reranker.tokenize(work)

    def close(self) -> None:
        """Let nobody in and wait for the requests inside."""
        self.admission.close()
        self._intake.shutdown(wait=True)
        self._work.shutdown(wait=True)
        self.quotas.close()


async def _hung_up(request: Request) -> None:
    """Return when the caller disconnects; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def respond(
    trouble: Problem, cause: BaseException | None = None, dialect: Dialect | None = None
) -> Response:
    """Return an error's response and log what only the operator should read."""
    if trouble.status >= 500 and not isinstance(cause, Cancelled):
        detail = cause.for_operator() if isinstance(cause, RerankerError) else ""
        ours = trouble.type == "server_error"  # the rest is a matter of load or configuration
        log.log(
            logging.ERROR if ours else logging.WARNING,
            "%d %s: %s",
            trouble.status,
            trouble.code,
            detail or trouble.message,
            exc_info=cause if ours else None,
        )
    status, body = (dialect.refuse if dialect else plain)(trouble)
    return Response(to_json(body), status, trouble.headers, media_type="application/json")
