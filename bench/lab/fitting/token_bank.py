"""Token statistics of a bi-encoder: idf by tokenizing, the second moment by encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker.types import RequestContext
from reranker_bench.data.candidate_pools import spaced
from reranker_methods.features.token_statistics import TokenStatistics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reranker.families.roles import BiEncoder
    from reranker_bench.data.beir import RetrievalSet

COUNTED = 4000  # documents of a collection that count for idf
ENCODED = 150  # documents of a collection that count for the second moment


def measure(encoder: BiEncoder, window: int, sources: Sequence[RetrievalSet]) -> TokenStatistics:
    """Measure a bank on collections, each with the same weight.

    idf(v) = log((1 + N) / (1 + N p_v)), with p_v the share of documents that hold the
    vocabulary id v, averaged over collections, and N the number of documents counted.

    Args:
        encoder: the bi-encoder; it must have a tokenizer.
        window: the most tokens it reads.
        sources: collections whose documents stand for general text.
    """
    tokenizer = encoder.tokenizer
    if tokenizer is None:
        raise ValueError(f"{encoder.name} has no tokenizer")
    size = len(tokenizer.punctuation)  # it has a place for every id
    shares, moments, counted = [], [], 0
    for source in sources:
        texts = spaced(list(source.corpus.values()), COUNTED)
        held = np.zeros(size)
        for encoded in tokenizer(texts, window):
            held[np.unique(encoded.ids)] += 1
        shares.append(held / len(texts))
        counted += len(texts)
        vectors = _token_vectors(encoder, spaced(texts, ENCODED))
        moments.append(vectors.T @ vectors / len(vectors))
    share = np.mean(shares, axis=0)
    idf = np.log((1 + counted) / (1 + counted * share))
    return TokenStatistics(idf.astype(np.float32), np.mean(moments, axis=0, dtype=np.float32))


def _token_vectors(encoder: BiEncoder, texts: Sequence[str]) -> np.ndarray:
    encoded = encoder.encode(
        texts, kind="document", max_tokens=None, tokens=True, context=RequestContext()
    )
    if encoded.tokens is None:
        raise ValueError("the bi-encoder gave no token vectors")
    return np.concatenate([tokens.vectors for tokens in encoded.tokens])
