"""The last stage of `best`: the weighted sum of cosine, cross-encoder logit and token features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker import StageOutput, Usage
from reranker_methods.features.attention import attention
from reranker_methods.features.feedback import feedback
from reranker_methods.features.lexical import lexical, sparse_lexical
from reranker_methods.features.spans import best_spans
from reranker_methods.features.subspace import subspace
from reranker_methods.features.token_stack import TokenStack

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from reranker import BiEncoder, Candidates, Encoded, TokenVectors
    from reranker_methods.features.token_statistics import TokenStatistics
    from reranker_methods.profile import Profile

FIRST_STAGE = "bi_encoder"
CROSS_STAGE = "cross_encoder"

Features = dict[str, "NDArray[np.float64]"]


class FusionStage:
    """Scores candidates by the calibrated weighted sum of their features.

    It needs the output of a `BiEncoderStage` with token vectors, named `FIRST_STAGE`, and uses
    that of a `CrossEncoderStage` named `CROSS_STAGE` where there is one.

    Args:
        model: the first stage's bi-encoder; it reads the candidates again where that stage kept
            no token vectors because its list was long.
        profile: constants, weights, calibration and token statistics of the pair of models.
    """

    def __init__(self, model: BiEncoder, profile: Profile) -> None:
        self._model = model
        self._profile = profile

    def __call__(self, candidates: Candidates) -> StageOutput:
        """Return the calibrated logits of the candidates, with their features and spans.

        Raises:
            ValueError: the first stage did not return the query's token vectors.
        """
        first = candidates.previous[FIRST_STAGE]
        cross = candidates.previous.get(CROSS_STAGE)
        question, encoded, usage = first.query_embedding, first.embeddings, Usage()
        if question is None or question.tokens is None or encoded is None:
            raise ValueError(f"the stage {FIRST_STAGE!r} returned no token vectors of the query")
        query, documents = question.tokens[0], encoded.tokens
        if documents is None:
            again = self._encode(candidates)
            documents, usage = again.tokens or (), again.usage
        # Features are computed once per distinct text: equal documents have exactly equal scores.
        distinct = encoded.distinct
        _, rows = np.unique(distinct, return_index=True)
        features = self._features(first, rows, query, [documents[row] for row in rows])
        features = {name: values[distinct] for name, values in features.items()}
        if cross is not None:
            features["cross_encoder"] = cross.values.astype(np.float64)
        weights = self._profile.token_statistics.query_weights(query)
        return StageOutput(
            values=self._profile.fusion.logits(features),
            features=features,
            spans=lambda row: best_spans(query, weights, documents[row]),
            usage=usage,
            warnings=self._profile.warnings,
        )

    def _encode(self, candidates: Candidates) -> Encoded:
        return self._model.encode(
            candidates.texts,
            kind="document",
            max_tokens=candidates.request.max_tokens_per_doc,
            tokens=True,
            context=candidates.request.context,
        )

    def _features(
        self,
        first: StageOutput,
        rows: NDArray[np.int64],
        query: TokenVectors,
        documents: Sequence[TokenVectors],
    ) -> Features:
        """Return the features of the documents in some of the first stage's rows."""
        names = self._profile.fusion.feature_names
        cosines = first.values[rows].astype(np.float64)
        features = {"cosine": cosines}
        if "feedback" in names and first.embeddings is not None:
            features["feedback"] = feedback(cosines, first.embeddings.vectors[rows])
        stack = TokenStack.of(documents)
        return features | token_features(query, stack, self._profile.token_statistics, names)


def token_features(
    query: TokenVectors, documents: TokenStack, statistics: TokenStatistics, names: Collection[str]
) -> Features:
    """Return those of the features attention, subspace and lexical that are named, each (n,).

    Args:
        query: the query's m tokens.
        documents: the tokens of n documents.
        statistics: background statistics of the bi-encoder's tokens.
        names: names of features; others than these three are ignored.
    """
    weights = statistics.query_weights(query)

    def overlap() -> NDArray[np.float64]:
        trained = query.weights is not None and documents.weights is not None
        return (sparse_lexical if trained else lexical)(query.ids, weights, documents)

    functions: Mapping[str, Callable[[], NDArray[np.float64]]] = {
        "attention": lambda: attention(query.vectors, weights, documents),
        "subspace": lambda: subspace(query.vectors, weights, documents, statistics.second_moment),
        "lexical": overlap,
    }
    return {name: compute() for name, compute in functions.items() if name in names}
