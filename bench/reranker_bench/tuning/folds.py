"""Cross-validation: each query is judged by weights that were fitted without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from reranker_bench.tuning.features import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.pipeline.fusion import WeightedSum

PerPair = list["NDArray[np.float64]"]
"""For each table, one value a pair."""


def out_of_fold(
    tables: Sequence[Table], folds: int, fit: Callable[[Sequence[Table]], WeightedSum]
) -> PerPair:
    """Return each pair's log-odds by a fusion that was fitted without its query.

    Args:
        tables: the data sets; the queries of each go to the folds in turn.
        folds: how many.
        fit: makes a fusion from tables.
    """
    found = [np.zeros(len(table.relevant)) for table in tables]
    for fold in range(folds):
        inside = [range(fold, len(table.sample.queries), folds) for table in tables]
        rest = [
            table.only([q for at, q in enumerate(table.sample.queries) if at not in held])
            for table, held in zip(tables, inside, strict=True)
        ]
        fusion = fit([part for part in rest if part.sample.queries])
        for table, held, logits in zip(tables, inside, found, strict=True):
            rows = table.rows(held)
            logits[rows] = fusion.logits({n: values[rows] for n, values in table.values.items()})
    return found


def ndcg_by_query(tables: Sequence[Table], logits: PerPair) -> PerPair:
    """Return for each table the (q,) nDCG@10 of its queries."""
    return [
        np.array(list(table.ndcg(values).values()))
        for table, values in zip(tables, logits, strict=True)
    ]


def cross_entropy_by_query(tables: Sequence[Table], logits: PerPair) -> PerPair:
    """Return for each table the (q,) mean cross-entropy of its queries, in nats a pair."""
    found = []
    for table, values in zip(tables, logits, strict=True):
        pairs = np.logaddexp(0, values) - np.where(table.relevant > 0, values, 0)
        found.append(np.add.reduceat(pairs, table.offsets[:-1]) / np.diff(table.offsets))
    return found
