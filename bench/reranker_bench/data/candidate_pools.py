"""The candidate pool of each query: the documents that every method ranks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reranker_bench.data.beir import DatasetError, RetrievalSet

POOL_SIZE = 100


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a comparison needs of one data set.

    Attributes:
        name: of the data set.
        texts: document id to text, of documents in a pool.
        queries: query id to text, of the queries that count, in order.
        qrels: query id to document id to grade, of those queries.
        pools: query id to the document ids to rank; may be empty.
        source: in words, where the pools come from.
        digest: of everything above; equal digests mean equal tasks.
    """

    name: str
    texts: Mapping[str, str]
    queries: Mapping[str, str]
    qrels: Mapping[str, Mapping[str, int]]
    pools: Mapping[str, tuple[str, ...]]
    source: str
    digest: str

    @property
    def missed(self) -> tuple[str, ...]:
        """Return the queries without a candidate; they count 0 for every method."""
        return tuple(query for query in self.queries if not self.pools[query])

    def ceiling(self, query: str) -> tuple[str, ...]:
        """Return the query's pool in perfect order: by grade, ties as in the pool."""
        grades = self.qrels[query]
        return tuple(sorted(self.pools[query], key=lambda d: -grades.get(d, 0)))


def dataset_of(source: RetrievalSet, limit: int | None = None, size: int = POOL_SIZE) -> Dataset:
    """Choose the queries of a comparison and fix their candidate pools.

    Queries without a relevant document cannot distinguish methods and are left out. A limit takes
    queries evenly spaced over the file, which often holds its topics in order.

    Args:
        source: the data set.
        limit: the most queries to keep.
        size: documents of a BM25 pool, used where the data set has no candidates.

    Raises:
        DatasetError: no query has a relevant document.
    """
    chosen = spaced(source.judged_queries(), limit)
    if not chosen:
        raise DatasetError(f"{source.name}: no query has a relevant document")
    queries = {query: source.queries[query] for query in chosen}
    if source.candidates:
        pools = {query: source.candidates.get(query, ()) for query in chosen}
        origin = source.pool_name
    else:
        pools = bm25_pools(source.corpus, queries, size)
        origin = f"BM25 top-{size}"
    texts = {d: source.corpus[d] for pool in pools.values() for d in pool}
    qrels = {query: dict(source.qrels[query]) for query in chosen}
    digest = _digest(texts, queries, qrels, pools)
    return Dataset(source.name, texts, queries, qrels, pools, origin, digest)


def spaced(items: Sequence[str], limit: int | None) -> tuple[str, ...]:
    """Return at most `limit` items, evenly spaced, in order."""
    if limit is None or limit >= len(items):
        return tuple(items)
    return tuple(items[i * len(items) // limit] for i in range(limit))


def bm25_pools(
    corpus: Mapping[str, str], queries: Mapping[str, str], size: int
) -> dict[str, tuple[str, ...]]:
    """Return for each query the documents that BM25 finds, best first.

    Documents that share no word with the query are not in its pool; ties go by corpus order.

    Args:
        corpus: document id to text.
        queries: query id to text.
        size: the most documents a query.
    """
    import bm25s

    ids = list(corpus)
    words = bm25s.tokenize(
        list(corpus.values()), stopwords="en", show_progress=False, return_ids=False
    )
    if not any(words):
        return dict.fromkeys(queries, ())
    retriever = bm25s.BM25()
    retriever.index(words, show_progress=False)
    pools: dict[str, tuple[str, ...]] = {}
    for query, text in queries.items():
        tokens = bm25s.tokenize([text], stopwords="en", show_progress=False, return_ids=False)[0]
        scores = retriever.get_scores(tokens) if tokens else []
        found = sorted((-score, at) for at, score in enumerate(scores) if score > 0)[:size]
        pools[query] = tuple(ids[at] for _, at in found)
    return pools


def _digest(*parts: Mapping[str, object]) -> str:
    """Digest mappings of strings, tuples and plain mappings; `repr` quotes, so none can collide."""
    digest = hashlib.sha256()
    for part in parts:
        for key, value in part.items():
            digest.update(repr((key, value)).encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()
