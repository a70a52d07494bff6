"""Stage 2: the cross-encoder's logit of each candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker.pipeline.bi_encoder_stage import cut_query, distinct
from reranker.pipeline.pipeline import StageOutput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.families.roles import CrossEncoder
    from reranker.types import RerankRequest


class CrossEncoderStage:
    """Scores candidates by a cross-encoder; keeps the logits for the stages after it."""

    def __init__(self, request: RerankRequest, model: CrossEncoder) -> None:
        self.request = request
        self.model = model
        self._logits: dict[int, np.float32] = {}

    def __call__(self, indices: NDArray[np.int64]) -> StageOutput:
        """Return the logits of the documents at the (k,) request indices."""
        texts, position = distinct(self.request, indices)
        scored = self.model.score(
            self.request.query,
            texts,
            max_tokens=self.request.max_tokens_per_doc,
            context=self.request.context,
        )
        logits = scored.logits[position]
        self._logits.update(zip(indices.tolist(), logits, strict=True))
        return StageOutput(
            values=logits,
            truncated=scored.truncated[position],
            query_truncated=scored.query_truncated,
            usage=scored.usage,
            warnings=(cut_query(self.model.name),) if scored.query_truncated else (),
        )

    def logits_of(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the (k,) logits of documents that this stage scored."""
        return np.array([self._logits[int(i)] for i in indices], dtype=np.float32)
