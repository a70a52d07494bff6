"""FlagEmbedding's `FlagReranker`, with its defaults: batches of 128, sorted by length.

On a CPU it runs in float32 whatever it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PACKAGES = ("FlagEmbedding",)


class PeerModel:
    """The cross-encoder of a folder."""

    def __init__(self, request: dict[str, Any]) -> None:
        import torch
        from FlagEmbedding import FlagReranker

        torch.set_num_threads(request["threads"])
        half = request["dtype"] == "float16"
        self._model: Any = FlagReranker(
            request["folder"],
            use_fp16=half,
            devices=[request["device"]],
            max_length=request["max_tokens"],
            normalize=True,
        )
        self.settings = {"batch_size": 128, "dtype": request["dtype"]}

    def __call__(self, query: str, documents: Sequence[str]) -> Sequence[float]:
        """Return (n,) probabilities."""
        pairs = [(query, document) for document in documents]
        scores: Sequence[float] = self._model.compute_score(pairs)
        return scores


def load(request: dict[str, Any]) -> PeerModel:
    """Return the cross-encoder.

    Raises:
        ValueError: a bi-encoder is requested, which it does not load from any folder.
    """
    if request["role"] != "cross-encoder":
        raise ValueError("this peer is measured as a cross-encoder only")
    return PeerModel(request)
