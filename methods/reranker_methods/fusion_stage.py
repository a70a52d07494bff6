"""The features of `best` and their fusion, over the candidates that stage 1 kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker.pipeline.bi_encoder_stage import BiEncoderStage, distinct
from reranker.pipeline.pipeline import StageOutput
from reranker_methods.features.attention import attention
from reranker_methods.features.blas_threads import keep_blas_on_one_thread
from reranker_methods.features.feedback import feedback
from reranker_methods.features.lexical import lexical, sparse_lexical
from reranker_methods.features.spans import best_spans
from reranker_methods.features.subspace import subspace
from reranker_methods.features.token_stack import TokenStack

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

    from reranker.families.roles import TokenVectors
    from reranker.pipeline.cross_encoder_stage import CrossEncoderStage
    from reranker.types import Span
    from reranker_methods.features.token_statistics import TokenStatistics
    from reranker_methods.profile import Profile

Features = dict[str, "NDArray[np.float64]"]


def token_features(
    query: TokenVectors, documents: TokenStack, bank: TokenStatistics, wanted: Collection[str]
) -> Features:
    """Return the wanted ones among attention, subspace and lexical, each (n,).

    Args:
        query: the query's m tokens.
        documents: the tokens of n documents.
        bank: background statistics of the bi-encoder's tokens.
        wanted: names of features; others than these three are ignored.
    """
    keep_blas_on_one_thread()
    weights = bank.query_weights(query)

    def overlap() -> NDArray[np.float64]:
        trained = query.weights is not None and documents.weights is not None
        return (sparse_lexical if trained else lexical)(query.ids, weights, documents)

    makers: Mapping[str, Callable[[], NDArray[np.float64]]] = {
        "attention": lambda: attention(query.vectors, weights, documents),
        "subspace": lambda: subspace(query.vectors, weights, documents, bank.second_moment),
        "lexical": overlap,
    }
    return {name: make() for name, make in makers.items() if name in wanted}


class FusionStage:
    """Fuses what the stages before it know of each candidate with the token features.

    Args:
        recall: the bi-encoder stage, built with token vectors.
        judge: the cross-encoder stage, or None.
        profile: constants, weights, calibration and bank of the pair of models.
    """

    def __init__(
        self, recall: BiEncoderStage, judge: CrossEncoderStage | None, profile: Profile
    ) -> None:
        self.recall = recall
        self.judge = judge
        self.profile = profile

    def __call__(self, indices: NDArray[np.int64]) -> StageOutput:
        """Return the calibrated logits of the documents at the (k,) request indices.

        Token features are computed once for each distinct text, so equal documents have
        equal scores to the last bit.
        """
        texts, position = distinct(self.recall.request, indices)
        query, documents = self.recall.tokens_of(texts)
        features = self._features(query, documents, texts)
        features = {name: values[position] for name, values in features.items()}
        if self.judge is not None:
            features["cross_encoder"] = self.judge.logits_of(indices).astype(np.float64)
        weights = self.profile.bank.query_weights(query)

        def spans(at: int) -> tuple[Span, ...]:
            return best_spans(query, weights, documents[position[at]])

        return StageOutput(
            values=self.profile.fusion.logits(features),
            features=features,
            spans=spans,
            warnings=self.profile.warnings,
        )

    def _features(
        self, query: TokenVectors, documents: list[TokenVectors], texts: list[str]
    ) -> Features:
        wanted = self.profile.fusion.wanted
        cosines = self.recall.cosines_of(texts)
        features = {"cosine": cosines}
        if "feedback" in wanted:
            features["feedback"] = feedback(cosines, self.recall.vectors_of(texts))
        stack = TokenStack.of(documents)
        return features | token_features(query, stack, self.profile.bank, wanted)
