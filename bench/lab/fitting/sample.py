"""Queries for fitting and reporting, drawn from a collection, each with its candidate pool."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from lab.training.corpus.recipe import DEV_PERCENT
from reranker_bench.data.candidate_pools import spaced
from reranker_bench.tuning.sample import Sample

if TYPE_CHECKING:
    from reranker_bench.data.beir import RetrievalSet


def held_out(document: str) -> bool:
    """Tell whether training the embedded cross-encoder left this passage out, by its id."""
    return zlib.crc32(document.encode()) % 100 < DEV_PERCENT


def draw(source: RetrievalSet, limit: int, depth: int, *, prefer_unseen: bool) -> Sample:
    """Draw queries evenly over the file, among those with a relevant document in the pool.

    Args:
        source: the collection.
        limit: the most queries.
        depth: how many of each frozen pool's documents are ranked, from its top.
        prefer_unseen: take queries first that a cross-encoder's training held out.
    """
    pools = {q: source.candidates.get(q, ())[:depth] for q in source.judged_queries()}
    relevant = {q: [d for d, g in source.qrels[q].items() if g > 0] for q in pools}
    usable = [q for q, pool in pools.items() if set(pool) & set(relevant[q])]
    if prefer_unseen:
        unseen = [q for q in usable if all(map(held_out, relevant[q]))]
        others = [q for q in usable if q not in set(unseen)]
        first = spaced(unseen, limit)
        chosen = [*first, *spaced(others, limit - len(first))]
    else:
        chosen = list(spaced(usable, limit))
    return Sample(
        name=source.name,
        queries={q: source.queries[q] for q in chosen},
        pools={q: pools[q] for q in chosen},
        texts={d: source.corpus[d] for q in chosen for d in pools[q]},
        grades={q: dict(source.qrels[q]) for q in chosen},
    )


def unseen(sample: Sample) -> list[str]:
    """Return the queries whose relevant passages the cross-encoder's training held out."""
    return [
        query
        for query in sample.queries
        if all(held_out(document) for document, grade in sample.grades[query].items() if grade > 0)
    ]
