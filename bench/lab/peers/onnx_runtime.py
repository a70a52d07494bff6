"""ONNX Runtime, through sentence-transformers' own backend and export, float32.

The graph is exported when loaded and optimised by the runtime; batches are the library's.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

PACKAGES = ("sentence-transformers", "onnxruntime", "optimum", "optimum-onnx", "onnx")


class PeerModel:
    """The exported model of a folder."""

    def __init__(self, request: dict[str, Any]) -> None:
        import sentence_transformers

        runtime: Any = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        cuda = request["device"].startswith("cuda")
        kinds = {"cross-encoder": "CrossEncoder", "bi-encoder": "SentenceTransformer"}
        self._cross = request["role"] == "cross-encoder"
        self._model: Any = getattr(sentence_transformers, kinds[request["role"]])(
            request["folder"],
            backend="onnx",
            device=request["device"],
            model_kwargs={
                "export": True,
                "provider": "CUDAExecutionProvider" if cuda else "CPUExecutionProvider",
                "session_options": options,
            },
        )
        self.settings = {"batch_size": 32, "dtype": "float32"}

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
    """Return the model.

    Raises:
        ValueError: another dtype than float32 is requested.
    """
    if request["dtype"] != "float32":
        raise ValueError("this peer is measured in float32 only")
    return PeerModel(request)
