"""The way of one request, whatever its dialect: body, permit, pool, engine, body.

Parsing, ranking and writing run on threads; the event loop only moves bytes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from reranker.embedding import EmbedRequest
from reranker.errors import DeadlineExceeded, ModelUnavailable, RerankerError
from reranker.types import Call, RerankRequest
from reranker_server.admission import Admission
from reranker_server.auth import Keys
from reranker_server.bodies import parse_json, read_body, to_json
from reranker_server.dialect import Ask, Asked, Dialect, Door, plain
from reranker_server.errors import Problem, problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from reranker.engine import Reranker
    from reranker_server.dialect import Work
    from reranker_server.settings import ServerSettings

log = logging.getLogger(__name__)
_INTAKE_THREADS = 2


@dataclass(slots=True)
class Turn:
    """One request on its way, and the dialect it is answered in as far as it is known."""

    start: float
    dialect: Dialect


class Serving:
    """What the endpoints share: engine, keys, permits, threads.

    Args:
        reranker: the engine.
        settings: keys and limits.
    """

    def __init__(self, reranker: Reranker, settings: ServerSettings) -> None:
        self.reranker = reranker
        self.settings = settings
        self.keys = Keys(settings.api_keys)
        self.admission = Admission(settings.max_concurrent, settings.max_queue)
        self.ready = threading.Event()
        self._intake = ThreadPoolExecutor(_INTAKE_THREADS, thread_name_prefix="intake")
        self._work = ThreadPoolExecutor(settings.max_concurrent, thread_name_prefix="request")

    async def answer(self, request: Request, door: Door) -> Response:
        """Answer one request; every error becomes its response, in the dialect's own shape."""
        turn = Turn(time.monotonic(), door.dialect)
        try:
            self.keys.check(request.headers)
            body = await read_body(request, int(self.settings.max_body_mb * 2**20))
            loop = asyncio.get_running_loop()
            asked = await loop.run_in_executor(self._intake, self._parse, request, body, door, turn)
            if not self.ready.is_set():
                raise ModelUnavailable("the models are being loaded; try again soon")
            with self.admission.permit():
                return await self._answer(request, asked)
        except RerankerError as error:
            return respond(problem(error), error, turn.dialect)
        except Exception as error:  # the last line of defence: log all, tell nothing
            return respond(problem(error), error, turn.dialect)

    def _parse(self, request: Request, body: bytes, door: Door, turn: Turn) -> Asked:
        """Read the body; the turn learns its dialect as soon as it is known."""
        ask = Ask(
            parse_json(body),
            self.settings,
            self.reranker,
            self._calls(turn.start),
            request.scope["path"],
            request.path_params.get("model"),
            request.headers,
        )
        if door.choose is not None:
            turn.dialect = door.choose(ask)
        return turn.dialect.parse(ask)

    def _calls(self, start: float) -> Callable[[int | None, int | None], Call]:
        limit = self.settings.max_timeout_ms

        def call(timeout_ms: int | None, batch_size: int | None) -> Call:
            seconds = min(timeout_ms or self.settings.timeout_ms, limit) / 1e3
            return Call(start + seconds, threading.Event(), batch_size)

        return call

    async def _answer(self, request: Request, asked: Asked) -> Response:
        """Rank on the pool; stop waiting at the deadline or when the caller hangs up."""
        call = asked.call
        loop = asyncio.get_running_loop()
        work: asyncio.Future[Any] = loop.run_in_executor(self._work, self._run, asked)
        gone: asyncio.Future[Any] = asyncio.ensure_future(_hung_up(request))
        try:
            await asyncio.wait(
                [work, gone], timeout=call.remaining(), return_when=asyncio.FIRST_COMPLETED
            )
            if work.done():
                return Response(work.result(), media_type="application/json")
            work.add_done_callback(_forget)
            raise DeadlineExceeded("the deadline passed before the ranking was done")
        finally:
            call.cancelled.set()
            gone.cancel()

    def _run(self, asked: Asked) -> bytes:
        return to_json(asked.render([self._do(work) for work in asked.work]))

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


async def _hung_up(request: Request) -> None:
    """Return when the caller disconnects; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _forget(work: asyncio.Future[bytes]) -> None:
    """Take note of the outcome of work nobody waits for, so that it is not reported as lost."""
    if not work.cancelled():
        work.exception()


def respond(
    trouble: Problem, cause: BaseException | None = None, dialect: Dialect | None = None
) -> Response:
    """Return an error's response and log what only the operator should read."""
    if trouble.status >= 500:
        detail = cause.for_operator() if isinstance(cause, RerankerError) else ""
        trace = cause if trouble.type == "server_error" else None
        log.error(
            "%d %s: %s", trouble.status, trouble.code, detail or trouble.message, exc_info=trace
        )
    status, body = (dialect.refuse if dialect else plain)(trouble)
    return Response(to_json(body), status, trouble.headers, media_type="application/json")
