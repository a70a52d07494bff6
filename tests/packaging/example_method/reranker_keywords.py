"""`keywords`: a method from another wheel; the share of the query's words that a document has."""

import numpy as np

from reranker import RerankRequest, register
from reranker.pipeline import Pipeline, Stage, StageOutput


@register("keywords", roles=())
def keywords(request: RerankRequest, models: object) -> Pipeline:
    """Order documents by the share of the query's words they contain."""
    wanted = set(request.query.lower().split())

    def score(indices: np.ndarray) -> StageOutput:
        texts = (request.documents[i].text.lower().split() for i in indices)
        return StageOutput(np.array([len(wanted & set(words)) / len(wanted) for words in texts]))

    return Pipeline(stages=(Stage("keywords", score),), scale=lambda values: values)
