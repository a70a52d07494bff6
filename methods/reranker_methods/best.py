"""`best`: one pass of each model, fused into one calibrated score."""

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
from reranker_methods.fusion_stage import CROSS_STAGE, FIRST_STAGE, FusionStage
from reranker_methods.profile import profile_for


@register("best", roles=("bi-encoder",), two_stage=True)
def best(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Keep `stage1_top_k` by cosine, order them by fused cosine, tokens and cross-encoder.

    The features are those to which the profile of the pair of models gives weight: the pooled
    cosine, attention, subspace and lexical overlap of the token vectors, and, if `model_cross` is
    set, the cross-encoder's logit. The score is the sigmoid of their calibrated weighted sum.
    """
    bi = models.bi_encoder(request.model)
    cross = models.cross_encoder(request.model_cross) if request.model_cross else None
    profile = profile_for(bi.name, cross.name if cross else None, request.profile)
    first = Stage(FIRST_STAGE, BiEncoderStage(bi, tokens=True), keep=request.stage1_top_k)
    fusion = Stage("fusion", FusionStage(bi, profile))
    if cross is None:
        return Pipeline((first, fusion), sigmoid_scale, {"bi-encoder": bi.name})
    return Pipeline(
        stages=(first, Stage(CROSS_STAGE, CrossEncoderStage(cross)), fusion),
        scale=sigmoid_scale,
        models={"bi-encoder": bi.name, "cross-encoder": cross.name},
    )
