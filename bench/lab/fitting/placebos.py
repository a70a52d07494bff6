"""Placebos: features of the same shape as real ones without their meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker.types import RequestContext
from reranker_bench.tuning.features import Values, kept
from reranker_methods.features.attention import attention
from reranker_methods.features.subspace import subspace
from reranker_methods.features.token_stack import TokenStack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reranker.families.roles import BiEncoder, TokenVectors
    from reranker_bench.tuning.sample import Sample
    from reranker_methods.features.token_statistics import TokenStatistics


def placebo_features(
    sample: Sample, encoder: BiEncoder, bank: TokenStatistics, folder: Path
) -> Values:
    """Return the placebos, from the folder where they are kept.

    `subspace_of_another` takes the subspace of another document of nearly the same length,
    `attention_shuffled` permutes the query's token weights, `length` is the logarithm of the
    token count.
    """

    def compute() -> Values:
        place = {document: i for i, document in enumerate(sample.texts)}
        documents = _tokens(encoder, list(sample.texts.values()), "document")
        queries = _tokens(encoder, list(sample.queries.values()), "query")
        twins = _twins([len(each.ids) for each in documents])
        rows = []
        for query, tokens in zip(sample.queries, queries, strict=True):
            pool = [place[document] for document in sample.pools[query]]
            own = TokenStack.of([documents[i] for i in pool])
            other = TokenStack.of([documents[twins[i]] for i in pool])
            rows.append(_placebos(tokens, own, other, bank))
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    return kept(folder, sample, [encoder.digest, "placebos"], compute)


def _tokens(encoder: BiEncoder, texts: Sequence[str], kind: str) -> Sequence[TokenVectors]:
    encoded = encoder.encode(
        texts,
        kind="query" if kind == "query" else "document",
        max_tokens=None if kind == "query" else 512,
        tokens=True,
        context=RequestContext(),
    )
    return encoded.tokens or ()


def _twins(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Return for each document another one of nearly its length."""
    order = np.argsort(lengths, kind="stable")
    twins = np.empty(len(lengths), dtype=np.int64)
    twins[order] = np.roll(order, 1)
    return twins


def _placebos(
    query: TokenVectors, own: TokenStack, other: TokenStack, bank: TokenStatistics
) -> Values:
    weights = bank.query_weights(query)
    shuffled = np.random.default_rng(len(query.ids)).permutation(weights)
    return {
        "subspace_of_another": subspace(query.vectors, weights, other, bank.second_moment),
        "attention_shuffled": attention(query.vectors, shuffled, own),
        "length": np.log1p(np.diff(own.offsets)).astype(np.float64),
    }
