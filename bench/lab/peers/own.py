"""This engine, through `Reranker` and under the same protocol as its peers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PACKAGES = ("reranker", "sentence-transformers", "faiss-cpu")
NAME = "measured"


class Own:
    """The engine around the folder that is measured, or around its own models.

    Args:
        request: to load; `options` are settings of the engine.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        from reranker.engine import Reranker
        from reranker.process_tuning import tune_process
        from reranker.settings import Settings, Tuning

        self._role = request["role"]
        models = {NAME: request["folder"]} if request.get("folder") else {}
        cross = models if self._role != "bi-encoder" else {}
        options = {"cache_mb": 0, **request.get("options", {})}
        tune_process()
        self.engine = Reranker(
            Settings(
                **options,
                offline=True,
                device=request["device"],
                dtype=request["dtype"],
                tuning=Tuning(threads=request["threads"]),
                cross_encoders=cross,
                bi_encoders={} if cross else models,
            )
        )
        self._max_tokens = request["max_tokens"]
        pairs: list[Any] = [] if self._role != "ranking" else [*self._own_pair()]
        if models:
            pairs.append(("cross-encoder" if cross else "bi-encoder", NAME))
        self.engine.warm(pairs)  # as a server does before it is ready
        self.settings = self._settings(pairs)

    def _own_pair(self) -> Sequence[tuple[str, str]]:
        own = self.engine.settings
        return (("bi-encoder", own.model), ("cross-encoder", own.model_cross))

    def _settings(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Return how the last of the models runs."""
        role, name = pairs[-1]
        models = self.engine.models
        model = models.cross_encoder(name) if role == "cross-encoder" else models.bi_encoder(name)
        status = next(s for s in models.loaded() if (s.role, s.id) == (role, model.name))
        return {
            "device": status.device,
            "dtype": "int8" if "int8" in status.backend else status.dtype,
            "threads": self.engine.settings.tuning.threads,
            "backend": status.backend,
            "attn_implementation": status.attn_implementation,
            "packed_weights": status.packed_weights,
            "max_batch_tokens": status.max_batch_tokens,
            "concurrent_batches": status.concurrent_batches,
        }

    def __call__(self, *texts: Any, **arguments: Any) -> Sequence[float]:
        """Encode texts, or rank documents for a query."""
        if self._role == "bi-encoder":
            vectors: Any = self.engine.embed(texts[0], model=NAME, kind="document").vectors
            return list(vectors)
        if self._role == "cross-encoder":
            arguments = {"method": "standard", "model_cross": NAME}
        query, documents = texts
        ranking = self.engine.rank(
            query, documents, max_tokens_per_doc=self._max_tokens, **arguments
        )
        scores = dict.fromkeys(range(len(documents)), 0.0)
        scores.update((result.index, result.score) for result in ranking)
        return list(scores.values())

    def close(self) -> None:
        """Stop the workers."""
        self.engine.close()


def load(request: dict[str, Any]) -> Own:
    """Return the engine."""
    return Own(request)
