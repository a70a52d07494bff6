"""`standard`: the cross-encoder's logit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reranker.pipeline.cross_encoder_stage import CrossEncoderStage
from reranker.pipeline.pipeline import Pipeline, Stage, sigmoid_scale
from reranker.pipeline.registry import register

if TYPE_CHECKING:
    from reranker.hub.base import ModelPool
    from reranker.types import RerankRequest


@register("standard", roles=("cross-encoder",))
def standard(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Order by the cross-encoder's logit; the score is its sigmoid."""
    cross = models.cross_encoder(request.model_cross or "")
    return Pipeline(
        stages=(Stage("cross_encoder", CrossEncoderStage(request, cross)),),
        scale=sigmoid_scale,
        models={"cross-encoder": cross.name},
    )
