"""This engine, by its front door and under the same protocol as everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PACKAGES = ("reranker", "sentence-transformers", "faiss-cpu")
NAME = "measured"


class Own:
    """The engine around the folder that is measured, or around its own models.

    Args:
        wanted: the request; `options` are settings of the engine.
    """

    def __init__(self, wanted: dict[str, Any]) -> None:
        from reranker.engine import Reranker
        from reranker.settings import Settings

        self._role = wanted["role"]
        models = {NAME: wanted["folder"]} if wanted.get("folder") else {}
        cross = models if self._role != "bi-encoder" else {}
        options = {"cache_mb": 0, **wanted.get("options", {})}
        self.engine = Reranker(
            Settings(
                **options,
                offline=True,
                device=wanted["device"],
                dtype=wanted["dtype"],
                threads=wanted["threads"],
                cross_encoders=cross,
                bi_encoders={} if cross else models,
            )
        )
        self._max_tokens = wanted["max_tokens"]
        pairs: list[Any] = [] if self._role != "ranking" else [*self._own_pair()]
        if models:
            pairs.append(("cross-encoder" if cross else "bi-encoder", NAME))
        self.engine.warm(pairs)  # as a server does before it is ready
        self.settings = self._found(pairs)

    def _own_pair(self) -> Sequence[tuple[str, str]]:
        own = self.engine.settings
        return (("bi-encoder", own.model), ("cross-encoder", own.model_cross))

    def _found(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Return how the models run, by the last one where each has a choice of its own."""
        models: Any = self.engine.models
        role, name = pairs[-1]
        model = models.cross_encoder(name) if role == "cross-encoder" else models.bi_encoder(name)
        found = {name: getattr(models.hardware, name) for name in ("device", "dtype", "threads")}
        found["token_budget"] = model.runner.token_budget
        found["lanes"] = model.runner.lanes
        ways = getattr(model, "ways", None)
        found["attention"] = getattr(ways, "attention", None)
        found["packed_weights"] = getattr(ways, "packed", None)
        found["backend"] = getattr(ways, "backend", "torch")
        if "int8" in found["backend"]:
            found["dtype"] = "int8"
        return found

    def __call__(self, *texts: Any, **arguments: Any) -> Sequence[float]:
        """Encode texts, or rank documents for a query."""
        if self._role == "bi-encoder":
            made: Any = self.engine.embed(texts[0], model=NAME, kind="document")
            vectors: Sequence[float] = made.vectors
            return vectors
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


def load(wanted: dict[str, Any]) -> Own:
    """Return the engine."""
    return Own(wanted)
