"""infinity-emb's engine on torch, with its defaults: batches of 32, merged and sorted by it.

Its loop runs in a thread of its own, as in its server; the call waits for the answer.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Sequence
from typing import Any

PACKAGES = ("infinity-emb", "sentence-transformers", "optimum")


class PeerModel:
    """The model of a folder behind infinity's batching."""

    def __init__(self, request: dict[str, Any]) -> None:
        import torch

        library: Any = importlib.import_module("infinity_emb")
        torch.set_num_threads(request["threads"])
        self._cross = request["role"] == "cross-encoder"
        arguments = library.EngineArgs(
            model_name_or_path=request["folder"],
            engine="torch",
            device=request["device"].partition(":")[0],
            dtype=request["dtype"],
            trust_remote_code=False,
            model_warmup=False,
        )
        self._engine: Any = library.AsyncEmbeddingEngine.from_args(arguments)
        self.settings = {"batch_size": arguments.batch_size, "dtype": request["dtype"]}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._wait(self._engine.astart())

    def __call__(self, *texts: Any) -> Sequence[float]:
        """Return (n,) probabilities of a query's documents, or (n, d) vectors of texts."""
        if not self._cross:
            vectors: Sequence[float] = self._wait(self._engine.embed(sentences=texts[0]))[0]
            return vectors
        query, documents = texts
        found, _ = self._wait(self._engine.rerank(query=query, docs=documents))
        scores = {result.index: result.relevance_score for result in found}
        return [scores[i] for i in range(len(documents))]

    def close(self) -> None:
        """Stop the engine."""
        self._wait(self._engine.astop())

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def load(request: dict[str, Any]) -> PeerModel:
    """Return the model."""
    return PeerModel(request)
