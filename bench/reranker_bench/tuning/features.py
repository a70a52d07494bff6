"""Every feature of every pair, computed once and kept on disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reranker.pipeline.bi_encoder_stage import search
from reranker.types import RequestContext
from reranker_methods.features.attention import attention
from reranker_methods.features.feedback import feedback
from reranker_methods.features.subspace import subspace
from reranker_methods.features.token_stack import TokenStack
from reranker_methods.fusion_stage import token_features

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reranker.families.base import BiEncoder, CrossEncoder, TokenVectors
    from reranker_bench.tuning.sample import Sample
    from reranker_methods.features.token_statistics import TokenStatistics

VERSION = 1  # raise it when a feature's definition changes: it is part of the cache's key
TOKEN_FEATURES = ("attention", "subspace", "lexical")
Values = dict[str, "NDArray[np.float64]"]


@dataclass(frozen=True, slots=True)
class Table:
    """The features of one collection's pairs.

    Attributes:
        sample: queries and pools; pairs stand in their order.
        values: feature name to (pairs,) values.
        offsets: (queries + 1,): where each query's pairs begin.
        relevant: (pairs,) grades, 0 where there is no judgement.
    """

    sample: Sample
    values: Values
    offsets: NDArray[np.int64]
    relevant: NDArray[np.float64]

    def unseen(self, limit: int) -> Table:
        """Return the table of the first queries that a cross-encoder's training held out."""
        return self.only([q for q in self.sample.queries if q in self.sample.unseen][:limit])

    def only(self, queries: Sequence[str]) -> Table:
        """Return the table of some of the queries."""
        names = [q for q in self.sample.queries if q in queries]
        kept = [i for i, q in enumerate(self.sample.queries) if q in names]
        rows = np.concatenate(
            [np.arange(self.offsets[i], self.offsets[i + 1]) for i in kept] or [np.zeros(0, int)]
        )
        lengths = np.diff(self.offsets)[kept]
        sample = replace(self.sample, queries={q: self.sample.queries[q] for q in names})
        return Table(
            sample,
            {name: values[rows] for name, values in self.values.items()},
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            self.relevant[rows],
        )


def tabulate(sample: Sample, values: Values) -> Table:
    """Lay out a sample's grades beside its features."""
    grades = [max(0, sample.grades[q].get(d, 0)) for q in sample.queries for d in sample.pools[q]]
    lengths = [len(sample.pools[q]) for q in sample.queries]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Table(sample, values, offsets, np.array(grades, dtype=np.float64))


def bi_features(sample: Sample, encoder: BiEncoder, bank: TokenStatistics, folder: Path) -> Values:
    """Return the features that need the bi-encoder alone, and the placebos.

    A placebo has the shape of a feature without its meaning: `subspace_of_another` takes
    the subspace of another document of nearly the same length, `attention_shuffled` deals
    the query's token weights out anew, `length` is the logarithm of the token count.
    """

    def make() -> Values:
        documents = list(sample.texts)
        place = {d: i for i, d in enumerate(documents)}
        texts = [sample.texts[d] for d in documents]
        encoded = encoder.encode(
            texts, kind="document", max_tokens=512, tokens=True, context=RequestContext()
        )
        asked = list(sample.queries.values())
        queries = encoder.encode(
            asked, kind="query", max_tokens=None, tokens=True, context=RequestContext()
        )
        tokens, query_tokens = encoded.tokens or (), queries.tokens or ()
        twins = _twins([len(each.ids) for each in tokens])
        rows: list[Values] = []
        for at, query in enumerate(sample.queries):
            pool = [place[d] for d in sample.pools[query]]
            cosines = search(queries.vectors[at], encoded.vectors[pool]).astype(np.float64)
            row = {"cosine": cosines, "feedback": feedback(cosines, encoded.vectors[pool])}
            stack = TokenStack.of([tokens[i] for i in pool])
            row |= token_features(query_tokens[at], stack, bank, TOKEN_FEATURES)
            other = TokenStack.of([tokens[twins[i]] for i in pool])
            rows.append(row | _placebos(query_tokens[at], stack, other, bank))
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    idf = b"" if bank.idf is None else bank.idf.astype(np.float16).tobytes()
    return _cached(folder, sample, [encoder.digest, hashlib.sha256(idf).hexdigest()], make)


def cross_features(sample: Sample, encoder: CrossEncoder, folder: Path) -> Values:
    """Return the cross-encoder's logits."""

    def make() -> Values:
        logits = [
            encoder.score(
                text,
                [sample.texts[d] for d in sample.pools[query]],
                max_tokens=512,
                context=RequestContext(),
            ).logits
            for query, text in sample.queries.items()
        ]
        return {"cross_encoder": np.concatenate(logits).astype(np.float64)}

    return _cached(folder, sample, [encoder.digest], make)


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


def _cached(
    folder: Path, sample: Sample, digests: Sequence[str], make: Callable[[], Values]
) -> Values:
    pools = {query: sample.pools[query] for query in sample.queries}
    digest = hashlib.sha256(repr((VERSION, digests, pools)).encode()).hexdigest()[:16]
    path = folder / f"{sample.name}-{digest}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        values = make()
        part = path.with_suffix(".part.npz")
        np.savez(part, allow_pickle=False, **values)
        part.rename(path)
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
