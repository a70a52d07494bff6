"""`keywords`: a method from another wheel; the share of the query's words that a document has."""

import numpy as np

from reranker import Candidates, ModelPool, Pipeline, RerankRequest, Stage, StageOutput, register


@register("keywords", roles=())
def keywords(request: RerankRequest, models: ModelPool) -> Pipeline:
    """Order documents by the share of the query's words they contain."""
    words = set(request.query.lower().split())

    def score(candidates: Candidates) -> StageOutput:
        shares = [len(words & set(text.lower().split())) / len(words) for text in candidates.texts]
        return StageOutput(np.array(shares))

    return Pipeline(stages=(Stage("keywords", score),), scale=lambda values: values)
