"""Every feature of every pair, computed once and kept on disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reranker.pipeline.stages import search
from reranker.types import RequestContext
from reranker_bench.evaluation import measures
from reranker_methods.features.feedback import feedback
from reranker_methods.features.token_stack import TokenStack
from reranker_methods.fusion_stage import token_features

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reranker.families.roles import BiEncoder, CrossEncoder
    from reranker_bench.tuning.sample import Sample
    from reranker_methods.features.token_statistics import TokenStatistics

VERSION = 2  # raise it when a feature's definition changes: it is part of the cache's key
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

    def only(self, queries: Collection[str]) -> Table:
        """Return the table of some of the queries."""
        places = [at for at, name in enumerate(self.sample.queries) if name in queries]
        chosen = {name: text for name, text in self.sample.queries.items() if name in queries}
        rows = self.rows(places)
        return Table(
            replace(self.sample, queries=chosen),
            {name: values[rows] for name, values in self.values.items()},
            np.concatenate([[0], np.cumsum(np.diff(self.offsets)[places])]).astype(np.int64),
            self.relevant[rows],
        )

    def rows(self, positions: Sequence[int]) -> NDArray[np.int64]:
        """Return the positions of the pairs of some queries, by the positions of the queries."""
        spans = [np.arange(self.offsets[at], self.offsets[at + 1]) for at in positions]
        return np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)

    def ndcg(self, scores: NDArray[np.float64]) -> dict[str, float]:
        """Return nDCG@10 of each query for (pairs,) scores; ties go by the pool's order."""
        ranked = {}
        for at, query in enumerate(self.sample.queries):
            pool = self.sample.pools[query]
            part = scores[self.offsets[at] : self.offsets[at + 1]]
            ranked[query] = [pool[i] for i in np.argsort(-part, kind="stable")]
        grades = {query: self.sample.grades[query] for query in self.sample.queries}
        return measures.per_query(grades, measures.run_of(ranked))


def tabulate(sample: Sample, values: Values) -> Table:
    """Lay out a sample's grades beside its features."""
    grades = [max(0, sample.grades[q].get(d, 0)) for q in sample.queries for d in sample.pools[q]]
    lengths = [len(sample.pools[q]) for q in sample.queries]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Table(sample, values, offsets, np.array(grades, dtype=np.float64))


def bi_features(sample: Sample, encoder: BiEncoder, bank: TokenStatistics, folder: Path) -> Values:
    """Return the features that need the bi-encoder alone, from the folder where they are kept."""

    def compute() -> Values:
        documents = list(sample.texts)
        place = {d: i for i, d in enumerate(documents)}
        texts = [sample.texts[d] for d in documents]
        encoded = encoder.encode(
            texts, kind="document", max_tokens=512, tokens=True, context=RequestContext()
        )
        texts = list(sample.queries.values())
        queries = encoder.encode(
            texts, kind="query", max_tokens=None, tokens=True, context=RequestContext()
        )
        tokens, query_tokens = encoded.tokens or (), queries.tokens or ()
        rows: list[Values] = []
        for at, query in enumerate(sample.queries):
            pool = [place[d] for d in sample.pools[query]]
            cosines = search(queries.vectors[at], encoded.vectors[pool]).astype(np.float64)
            row = {"cosine": cosines, "feedback": feedback(cosines, encoded.vectors[pool])}
            stack = TokenStack.of([tokens[i] for i in pool])
            rows.append(row | token_features(query_tokens[at], stack, bank, TOKEN_FEATURES))
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    idf = b"" if bank.idf is None else bank.idf.astype(np.float16).tobytes()
    return kept(folder, sample, [encoder.digest, hashlib.sha256(idf).hexdigest()], compute)


def cross_features(sample: Sample, encoder: CrossEncoder, folder: Path) -> Values:
    """Return the cross-encoder's logits."""

    def compute() -> Values:
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

    return kept(folder, sample, [encoder.digest], compute)


def kept(
    folder: Path, sample: Sample, digests: Sequence[str], compute: Callable[[], Values]
) -> Values:
    """Return features of a sample from a folder; what it does not hold is computed and kept.

    Args:
        folder: of the features.
        sample: the pairs; they are part of the file's name.
        digests: of all else that the features depend on.
        compute: returns the features.
    """
    pools = {query: sample.pools[query] for query in sample.queries}
    digest = hashlib.sha256(repr((VERSION, digests, pools)).encode()).hexdigest()[:16]
    path = folder / f"{sample.name}-{digest}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        values = compute()
        part = path.with_suffix(".part.npz")
        np.savez(part, allow_pickle=False, **values)
        part.rename(path)
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
