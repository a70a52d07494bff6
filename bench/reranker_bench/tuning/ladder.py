"""What each term earns: nDCG@10 on collections that the weights were not fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker_bench.evaluation import measures as quality
from reranker_bench.tuning.weights import fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reranker.pipeline.fusion import WeightedSum
    from reranker_bench.tuning.features import Table

LADDER = (
    ("cosine",),
    ("cosine", "attention"),
    ("cosine", "attention", "subspace"),
    ("cosine", "attention", "subspace", "lexical"),
    ("cosine", "attention", "subspace", "lexical", "feedback"),
)
OTHERS = (
    ("attention",),
    ("subspace",),
    ("lexical",),
    ("cosine", "subspace"),
    ("cosine", "lexical"),
    ("cosine", "attention", "lexical"),
    ("cosine", "attention", "feedback"),
)
PLACEBOS = (
    ("cosine", "attention_shuffled"),
    ("cosine", "subspace_of_another"),
    ("cosine", "length"),
    ("cosine", "attention", "subspace_of_another"),
    ("cosine", "attention", "length"),
)
WITH_CROSS = (
    ("cross_encoder",),
    ("cosine", "cross_encoder"),
    ("cosine", "attention", "cross_encoder"),
    ("cosine", "attention", "subspace", "cross_encoder"),
    ("cosine", "attention", "lexical", "cross_encoder"),
    ("cosine", "attention", "subspace", "lexical", "cross_encoder"),
)


def gains(table: Table, scores: NDArray[np.float64]) -> dict[str, float]:
    """Return nDCG@10 of each query for (pairs,) scores; ties go by the pool's order."""
    run = {}
    for at, query in enumerate(table.sample.queries):
        part = scores[table.offsets[at] : table.offsets[at + 1]]
        pool = table.sample.pools[query]
        order = np.argsort(-part, kind="stable")
        run[query] = {pool[i]: float(len(pool) - rank) for rank, i in enumerate(order)}
    grades = {query: table.sample.grades[query] for query in table.sample.queries}
    return quality.per_query(grades, run)


def apply(fusion: WeightedSum, table: Table) -> dict[str, float]:
    """Return nDCG@10 of each query for a fusion."""
    return gains(table, fusion.fuse(table.values))


def left_out(
    tables: Sequence[Table], names: Sequence[str], pull: float
) -> dict[str, dict[str, float]]:
    """Return each collection's nDCG@10 a query, with weights fitted on the others."""
    return {
        table.sample.name: apply(
            fit([other for other in tables if other is not table], names, pull), table
        )
        for table in tables
    }


def transferred(
    tables: Sequence[Table], report: Sequence[Table], names: Sequence[str], pull: float
) -> dict[str, dict[str, float]]:
    """Return each reported collection's nDCG@10 a query, with weights fitted on `tables`."""
    fusion = fit(tables, names, pull)
    return {table.sample.name: apply(fusion, table) for table in report}
