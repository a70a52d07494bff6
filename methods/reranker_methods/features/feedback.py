"""Feedback: the cosine of a document to the best candidates of the first stage without it.

    feedback_j = cos(d_j, sum of the d_k over the 3 best k != j by cosine)

the dense form of pseudo-relevance feedback (Rocchio, "Relevance Feedback in Information
Retrieval", 1971; Yu, Xiong and Callan, "Improving Query Representations for Dense
Retrieval with Pseudo Relevance Feedback", CIKM 2021). Its value depends on the other
candidates, so with a profile that gives it weight a document's score depends on its neighbours.
No shipped profile does; it is there for the benchmark's ablation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEPTH = 3


def feedback(
    cosines: NDArray[np.floating], vectors: NDArray[np.float32], depth: int = DEPTH
) -> NDArray[np.float64]:
    """Score n documents by their similarity to the best of the others.

    Args:
        cosines: (n,) first-stage scores.
        vectors: (n, d) unit pooled vectors.
        depth: the number of best documents in the centroid.

    Returns:
        (n,) in [-1, 1]; 0 where there is no other document.
    """
    best = np.argsort(-cosines, kind="stable")[: depth + 1]
    top = best[:depth]
    centroids = np.repeat(vectors[top].sum(axis=0, dtype=np.float64)[None], len(vectors), axis=0)
    for j in top:
        centroids[j] = vectors[best[best != j]].sum(axis=0, dtype=np.float64)
    lengths = np.linalg.norm(centroids, axis=1)
    dots = np.einsum("nd,nd->n", vectors.astype(np.float64), centroids)
    scores = np.zeros(len(vectors))
    np.divide(dots, lengths, out=scores, where=lengths > 1e-9)
    return scores
