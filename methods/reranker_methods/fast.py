"""`fast`: the cosine of pooled bi-encoder vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reranker.pipeline.bi_encoder_stage import BiEncoderStage
from reranker.pipeline.pipeline import Pipeline, Stage, cosine_scale
from reranker.pipeline.registry import register

if TYPE_CHECKING:
    from reranker.hub.base import ModelPool
    from reranker.types import RerankRequest


@register("fast", roles=("bi-encoder",))
def fast(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Order by the cosine of pooled bi-encoder vectors; the score is (1 + cosine) / 2."""
    bi = models.bi_encoder(request.model)
    return Pipeline(
        stages=(Stage("bi_encoder", BiEncoderStage(request, bi)),),
        scale=cosine_scale,
        models={"bi-encoder": bi.name},
    )
