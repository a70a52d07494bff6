"""Hard candidates of each query: the best of BM25 and of the bi-encoder, interleaved."""

from collections.abc import Sequence

import bm25s
import numpy as np
from numpy.typing import NDArray

from lab.training.corpus.teacher import Floats

Ints = NDArray[np.int32]


def bm25_candidates(passages: Sequence[str], queries: Sequence[str], k: int) -> Ints:
    """Return the indices (queries, k) of the passages that BM25 ranks first."""
    index = bm25s.BM25()
    index.index(
        bm25s.tokenize(list(passages), stopwords="en", show_progress=False), show_progress=False
    )
    tokens = bm25s.tokenize(list(queries), stopwords="en", show_progress=False)
    found, _ = index.retrieve(tokens, k=min(k, len(passages)), show_progress=False)
    return np.asarray(found, dtype=np.int32)


def cosine_candidates(passages: Floats, queries: Floats, k: int) -> Ints:
    """Return the indices (queries, k) of the passages nearest by cosine.

    Args:
        passages: (passages, width) unit vectors.
        queries: (queries, width) unit vectors.
        k: How many to return.
    """
    best = [
        np.argsort(-(queries[i : i + 512] @ passages.T), axis=1, kind="stable")[:, :k]
        for i in range(0, len(queries), 512)
    ]
    return np.concatenate(best).astype(np.int32)


def interleave(first: Ints, second: Ints) -> list[list[int]]:
    """Return, per query, both rankings taken in turns, each passage once."""
    merged: list[list[int]] = []
    for row, other in zip(first, second, strict=True):
        turns = np.stack([row[: len(other)], other[: len(row)]], axis=1).ravel()
        merged.append(list(dict.fromkeys(int(i) for i in turns)))
    return merged
