"""Model doubles behind real workers, which fail, die or dawdle when a text says so.

A text of `!raise` makes its batch raise, `!kill` ends the worker's thread, `!slow 50` sleeps for
50 ms. Run as a module it serves them: `python -m support.faulty '{"port": 8000}'`.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from reranker import Reranker, Settings
from reranker.cache.lru import Cache
from reranker.families.roles import Encoded, Scored
from reranker.hub.base import ModelStatus, State
from reranker.scheduling.batch_runner import SchedulerConfig
from reranker.scheduling.scheduler import BatchScheduler
from reranker.types import RequestContext
from support.apps import pair_catalog
from support.fakes import FakeBiEncoder, FakeCrossEncoder, FakeModels


def misbehave(texts: Sequence[str]) -> None:
    for text in texts:
        if "!slow" in text:
            time.sleep(float(text.split("!slow")[1].split()[0]) / 1e3)
        if "!raise" in text:
            raise RuntimeError(f"cannot read {text!r}")
        if "!kill" in text:
            raise SystemExit


class FaultyBiEncoder(FakeBiEncoder):
    def __init__(self) -> None:
        super().__init__(name="faulty-bi")
        self.cache: Cache[Any] = Cache(0, len)
        self.scheduler: BatchScheduler[str, int] = BatchScheduler(
            "faulty-bi", self._run, len, SchedulerConfig(4096)
        )

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "document"],
        max_tokens: int | None,
        tokens: bool,
        context: RequestContext,
    ) -> Encoded:
        self.scheduler(list(texts), context)
        self.calls.clear()
        return super().encode(
            texts, kind=kind, max_tokens=max_tokens, tokens=tokens, context=context
        )

    def _run(self, texts: list[str]) -> list[int]:
        misbehave(texts)
        return [0] * len(texts)


class FaultyCrossEncoder(FakeCrossEncoder):
    def __init__(self) -> None:
        super().__init__(name="faulty-cross")
        self.cache: Cache[Any] = Cache(0, len)
        self.scheduler: BatchScheduler[str, int] = BatchScheduler(
            "faulty-cross", self._run, len, SchedulerConfig(4096)
        )

    def score(
        self, query: str, documents: Sequence[str], *, max_tokens: int, context: RequestContext
    ) -> Scored:
        self.scheduler(list(documents), context)
        self.calls.clear()
        scored = super().score(query, documents, max_tokens=max_tokens, context=context)
        assert np.isfinite(scored.logits).all()
        return scored

    def _run(self, texts: list[str]) -> list[int]:
        misbehave(texts)
        return [0] * len(texts)


class FaultyModels(FakeModels):
    """Knows "bi" and "cross", and shows its workers as the engine's own models do."""

    def __init__(self) -> None:
        super().__init__(FaultyBiEncoder(), FaultyCrossEncoder(), pair_catalog())

    def loaded(self) -> tuple[ModelStatus, ...]:
        return tuple(status(model) for model in (self.bi, self.cross))

    def states(self) -> dict[str, State]:
        alive = {m.name: m.scheduler.alive for m in (self.bi, self.cross)}
        return {name: "ready" if well else "restarting" for name, well in alive.items()}

    def close(self) -> None:
        for model in (self.bi, self.cross):
            model.scheduler.close()


def status(model: FaultyBiEncoder | FaultyCrossEncoder) -> ModelStatus:
    return ModelStatus(
        id=model.name,
        role="bi-encoder" if isinstance(model, FaultyBiEncoder) else "cross-encoder",
        family="fake",
        device="cpu",
        dtype="float32",
        backend="torch",
        attn_implementation=None,
        packed_weights=False,
        window=model.window,
        dimensions=None,
        max_batch_tokens=model.scheduler.config.max_batch_tokens,
        concurrent_batches=model.scheduler.config.concurrent_batches,
        weight_bytes=0,
        scheduler=model.scheduler.stats,
        cache=model.cache.stats,
    )


def main() -> None:
    from reranker_server.run import run_server
    from reranker_server.settings import ServerSettings

    logging.basicConfig(level="INFO", stream=sys.stderr)
    settings = ServerSettings(**json.loads(sys.argv[1]))
    run_server(Reranker(Settings(model="bi", model_cross="cross"), FaultyModels()), settings)


if __name__ == "__main__":
    main()
