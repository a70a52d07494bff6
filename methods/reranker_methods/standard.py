"""`standard`: the cross-encoder's logit."""

from reranker import (
    CrossEncoderStage,
    ModelPool,
    Pipeline,
    RerankRequest,
    Stage,
    register,
    sigmoid_scale,
)


@register("standard", roles=("cross-encoder",))
def standard(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Order by the cross-encoder's logit; the score is its sigmoid."""
    cross = models.cross_encoder(request.model_cross or "")
    return Pipeline(
        stages=(Stage("cross_encoder", CrossEncoderStage(cross)),),
        scale=sigmoid_scale,
        models={"cross-encoder": cross.name},
    )
