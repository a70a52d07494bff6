"""`optimal`: the bi-encoder chooses, the cross-encoder orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reranker.pipeline.bi_encoder_stage import BiEncoderStage
from reranker.pipeline.cross_encoder_stage import CrossEncoderStage
from reranker.pipeline.pipeline import Pipeline, Stage, sigmoid_scale
from reranker.pipeline.registry import register

if TYPE_CHECKING:
    from reranker.hub.base import ModelPool
    from reranker.types import RerankRequest


@register("optimal", roles=("bi-encoder", "cross-encoder"), two_stage=True)
def optimal(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Keep `stage1_top_k` by cosine, order them by the cross-encoder; the score is its sigmoid."""
    bi, cross = models.bi_encoder(request.model), models.cross_encoder(request.model_cross or "")
    return Pipeline(
        stages=(
            Stage("bi_encoder", BiEncoderStage(request, bi), keep=request.stage1_top_k),
            Stage("cross_encoder", CrossEncoderStage(request, cross)),
        ),
        scale=sigmoid_scale,
        models={"bi-encoder": bi.name, "cross-encoder": cross.name},
    )
