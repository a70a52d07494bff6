"""`best`: everything one pass of each model says of a document, in one calibrated score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reranker.pipeline.bi_encoder_stage import BiEncoderStage
from reranker.pipeline.cross_encoder_stage import CrossEncoderStage
from reranker.pipeline.pipeline import Pipeline, Stage, sigmoid_scale
from reranker.pipeline.registry import register
from reranker_methods.fusion_stage import FusionStage
from reranker_methods.profile import profile_for

if TYPE_CHECKING:
    from reranker.hub.base import ModelPool
    from reranker.types import RerankRequest


@register("best", roles=("bi-encoder",), two_stage=True)
def best(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Keep `stage1_top_k` by cosine, order them by fused cosine, tokens and cross-encoder.

    The fused features are those that the pair's profile gives weight: of the pooled cosine,
    attention, subspace and lexical overlap of the token vectors that stage 1 made anyway, and
    the cross-encoder's logit where `model_cross` is given. The score is the sigmoid of their
    weighted sum, calibrated for the pair.
    """
    bi = models.bi_encoder(request.model)
    cross = models.cross_encoder(request.model_cross) if request.model_cross else None
    recall = BiEncoderStage(request, bi, tokens=True)
    judge = CrossEncoderStage(request, cross) if cross else None
    profile = profile_for(bi.name, cross.name if cross else None, request.profile)
    fusion = FusionStage(recall, judge, profile)
    stages = [Stage("bi_encoder", recall, keep=request.stage1_top_k)]
    if judge:
        stages.append(Stage("cross_encoder", judge))
    stages.append(Stage("fusion", fusion))
    names = {"bi-encoder": bi.name} | ({"cross-encoder": cross.name} if cross else {})
    return Pipeline(stages=tuple(stages), scale=sigmoid_scale, models=names)
