"""A client of an engine in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from reranker.errors import RerankerError
from reranker_bench.speed.closed_loop import STAMP

if TYPE_CHECKING:
    from reranker.engine import Reranker


class EngineClient:
    """A closed-loop client with a thread of its own; see `closed_loop.Client`."""

    def __init__(self, engine: Reranker) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1)

    async def send(self, request: Mapping[str, Any], stamp: str) -> str | None:
        """Rank; a request holds the arguments of `Reranker.rank`."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self.rank, request, stamp)
        except RerankerError as error:
            return type(error).__name__
        return None

    def rank(self, request: Mapping[str, Any], stamp: str) -> None:
        """Rank on the calling thread.

        Raises:
            RerankerError: the engine's own.
        """
        arguments = dict(request)
        query = arguments.pop("query").replace(STAMP, stamp)
        documents = [text.replace(STAMP, stamp) for text in arguments.pop("documents")]
        self._engine.rank(query, documents, **arguments)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False)
