"""The ready-made stages, and the scales that map their values to public scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker.pipeline.pipeline import StageOutput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.families.roles import BiEncoder, CrossEncoder
    from reranker.pipeline.pipeline import Candidates

FIRST_PASS_FACTOR = 2
"""Documents get token vectors in the first pass if there are at most this many `stage1_top_k`.

A text's token vectors take a hundred times the memory of its pooled one. For longer lists a later
stage encodes the few documents that are left again, or finds their token vectors in the cache.
"""


def cosine_scale(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map a cosine to [0, 1] by (1 + cos) / 2."""
    return np.clip((1.0 + values) / 2.0, 0.0, 1.0)


def sigmoid_scale(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map a logit to (0, 1)."""
    from scipy.special import expit

    return np.asarray(expit(values), dtype=np.float64)


def search(query: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (n,) inner products of a (d,) query with (n, d) vectors, by exact search.

    A vector that is not finite is not found: its inner product comes back as NaN, which the
    pipeline reports.
    """
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    values, found = index.search(np.ascontiguousarray(query[None], dtype=np.float32), len(vectors))
    inner = np.full(len(vectors), np.nan, dtype=np.float32)
    hit = found[0] >= 0
    inner[found[0][hit]] = values[0][hit]
    return inner


class BiEncoderStage:
    """Scores candidates by the cosine of pooled vectors; its output has the embeddings.

    Args:
        model: the bi-encoder.
        tokens: whether a later stage needs token vectors. The query's are then always in the
            output, the documents' if the list is short: see `FIRST_PASS_FACTOR`.
    """

    def __init__(self, model: BiEncoder, *, tokens: bool = False) -> None:
        self._model = model
        self._tokens = tokens

    def __call__(self, candidates: Candidates) -> StageOutput:
        """Return the cosines of the candidates."""
        request = candidates.request
        query = self._model.encode(
            [request.query],
            kind="query",
            max_tokens=None,
            tokens=self._tokens,
            context=request.context,
        )
        documents = self._model.encode(
            candidates.texts,
            kind="document",
            max_tokens=request.max_tokens_per_doc,
            tokens=self._tokens and len(candidates) <= FIRST_PASS_FACTOR * request.stage1_top_k,
            context=request.context,
        )
        query_truncated = bool(query.truncated[0])
        return StageOutput(
            values=search(query.vectors[0], documents.vectors),
            truncated=documents.truncated,
            query_truncated=query_truncated,
            query_embedding=query,
            embeddings=documents,
            usage=query.usage + documents.usage,
            warnings=_truncation_warnings(self._model.name, query_truncated),
        )


class CrossEncoderStage:
    """Scores candidates by a cross-encoder's logit.

    Args:
        model: the cross-encoder.
    """

    def __init__(self, model: CrossEncoder) -> None:
        self._model = model

    def __call__(self, candidates: Candidates) -> StageOutput:
        """Return the logits of the candidates."""
        request = candidates.request
        scored = self._model.score(
            request.query,
            candidates.texts,
            max_tokens=request.max_tokens_per_doc,
            context=request.context,
        )
        return StageOutput(
            values=scored.logits,
            truncated=scored.truncated,
            query_truncated=scored.query_truncated,
            usage=scored.usage,
            warnings=_truncation_warnings(self._model.name, scored.query_truncated),
        )


def _truncation_warnings(model: str, query_truncated: bool) -> tuple[str, ...]:
    warning = f"the query is longer than {model} can read; only its beginning was used"
    return (warning,) if query_truncated else ()
