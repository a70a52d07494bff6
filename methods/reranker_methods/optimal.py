"""`optimal`: the bi-encoder chooses, the cross-encoder orders."""

from reranker import (
    BiEncoderStage,
    CrossEncoderStage,
    ModelPool,
    Pipeline,
    RerankRequest,
    Stage,
    register,
    sigmoid_scale,
)


@register("optimal", roles=("bi-encoder", "cross-encoder"), two_stage=True)
def optimal(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Keep `stage1_top_k` by cosine, order them by the cross-encoder; the score is its sigmoid."""
    bi, cross = models.bi_encoder(request.model), models.cross_encoder(request.model_cross or "")
    return Pipeline(
        stages=(
            Stage("bi_encoder", BiEncoderStage(bi), keep=request.stage1_top_k),
            Stage("cross_encoder", CrossEncoderStage(cross)),
        ),
        scale=sigmoid_scale,
        models={"bi-encoder": bi.name, "cross-encoder": cross.name},
    )
