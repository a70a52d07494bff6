"""sentence-transformers as its users call it: `CrossEncoder` and `SentenceTransformer`.

The defaults are left alone: batches of 32, sorted by the library itself, and attention as it
chooses. The bf16 variant differs in `torch_dtype` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PACKAGES = ("sentence-transformers",)


class PeerModel:
    """The model of a folder."""

    def __init__(self, request: dict[str, Any]) -> None:
        import sentence_transformers
        import torch

        torch.set_num_threads(request["threads"])
        kinds = {"cross-encoder": "CrossEncoder", "bi-encoder": "SentenceTransformer"}
        self._cross = request["role"] == "cross-encoder"
        self._model: Any = getattr(sentence_transformers, kinds[request["role"]])(
            request["folder"],
            device=request["device"],
            model_kwargs={"torch_dtype": getattr(torch, request["dtype"])},
        )
        network = self._model.model if self._cross else self._model[0].auto_model
        attention = getattr(network.config, "_attn_implementation", "")
        self.settings = {"batch_size": 32, "attention": attention, "dtype": request["dtype"]}

    def __call__(self, *texts: Any) -> Sequence[float]:
        """Return (n,) probabilities of a query's documents, or (n, d) vectors of texts."""
        if not self._cross:
            vectors: Sequence[float] = self._model.encode(texts[0], show_progress_bar=False)
            return vectors
        query, documents = texts
        pairs = [(query, document) for document in documents]
        scores: Sequence[float] = self._model.predict(pairs, show_progress_bar=False)
        return scores


def load(request: dict[str, Any]) -> PeerModel:
    """Return the model."""
    return PeerModel(request)
