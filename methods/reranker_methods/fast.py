"""`fast`: the cosine of pooled bi-encoder vectors."""

from reranker import (
    BiEncoderStage,
    ModelPool,
    Pipeline,
    RerankRequest,
    Stage,
    cosine_scale,
    register,
)


@register("fast", roles=("bi-encoder",))
def fast(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Order by the cosine of pooled bi-encoder vectors; the score is (1 + cosine) / 2."""
    bi = models.bi_encoder(request.model)
    return Pipeline(
        stages=(Stage("bi_encoder", BiEncoderStage(bi)),),
        scale=cosine_scale,
        models={"bi-encoder": bi.name},
    )
