"""From rankings to numbers: quality per query, means, intervals and comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from reranker_bench.evaluation import measures, significance
from reranker_bench.evaluation.measures import MEASURES, NDCG_AT_10

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker_bench.comparison.records import RankRecord, RecordStore
    from reranker_bench.data.candidate_pools import Dataset

ALL = "all data sets"
"""Name of the comparisons over all data sets, each with the same weight."""

PerQuery = Mapping[str, Mapping[str, float]]
"""Measure to query id to value."""


@dataclass(frozen=True, slots=True)
class DatasetOutcome:
    """What a comparison found on one data set.

    Attributes:
        collection: the data set.
        queries: those that all methods were tried on, in order; every number is over these.
        records: method to query id to ranking; a query that was missed or failed has none.
        values: method to measure to query id to value.
        ceiling: measure to query id to value of the pool in perfect order.
        input_order: the same of the pool in its own order.
    """

    collection: Dataset
    queries: tuple[str, ...]
    records: Mapping[str, Mapping[str, RankRecord]]
    values: Mapping[str, PerQuery]
    ceiling: PerQuery
    input_order: PerQuery

    @property
    def complete(self) -> bool:
        """Whether no query is left to do."""
        return len(self.queries) == len(self.collection.queries)

    def column(self, method: str, measure: str = NDCG_AT_10) -> NDArray[np.float64]:
        """Return the (q,) values of a method, in the order of `queries`."""
        return np.array([self.values[method][measure][query] for query in self.queries])


@dataclass(frozen=True, slots=True)
class MethodDifference:
    """The difference of two methods in one measure.

    Attributes:
        dataset: its name, or `ALL`.
        method: the one that is measured.
        baseline: the one it is compared with.
        difference: method minus baseline.
        p_holm: p adjusted for all comparisons of this measure in the report.
    """

    dataset: str
    method: str
    baseline: str
    measure: str
    difference: significance.Difference
    p_holm: float


def evaluate(collection: Dataset, store: RecordStore, methods: Sequence[str]) -> DatasetOutcome:
    """Evaluate the rankings of one data set.

    A query counts once every method was tried on it, or if it has no candidates; a method that
    failed on it, or a query without candidates, counts 0.
    """
    tried: dict[str, dict[str, RankRecord]] = {method: {} for method in methods}
    for task, record in store.records.items():
        if task.dataset == collection.name and task.method in tried:
            tried[task.method][task.query] = record
    queries = tuple(
        query
        for query in collection.queries
        if not collection.pools[query] or all(query in tried[method] for method in methods)
    )
    records = {
        method: {q: found[q] for q in queries if q in found and found[q].error is None}
        for method, found in tried.items()
    }
    qrels = {query: collection.qrels[query] for query in queries}
    pools = {query: collection.pools[query] for query in queries}
    perfect = {query: collection.ceiling(query) for query in queries}
    return DatasetOutcome(
        collection=collection,
        queries=queries,
        records=records,
        values={
            method: _measure(qrels, {q: record.documents for q, record in found.items()})
            for method, found in records.items()
        },
        ceiling=_measure(qrels, perfect),
        input_order=_measure(qrels, pools),
    )


def compare_all(
    outcomes: Sequence[DatasetOutcome], methods: Sequence[str]
) -> list[MethodDifference]:
    """Compare all pairs of methods, in every measure, on each data set and over all of them.

    Holm's adjustment is over all pairs and data sets, measure by measure.
    """
    groups: list[tuple[Sequence[DatasetOutcome], str]] = [
        ((outcome,), outcome.collection.name) for outcome in outcomes
    ]
    if len(outcomes) > 1:
        groups.append((outcomes, ALL))
    found = [
        _compared(group, name, pair, measure)
        for measure in MEASURES
        for group, name in groups
        for pair in combinations(methods, 2)
    ]
    for measure in MEASURES:
        at = [i for i, each in enumerate(found) if each.measure == measure]
        adjusted = significance.holm([found[i].difference.p for i in at])
        for i, p in zip(at, adjusted, strict=True):
            each = found[i]
            found[i] = MethodDifference(
                each.dataset, each.method, each.baseline, measure, each.difference, p
            )
    return found


def means(per_query: PerQuery) -> dict[str, float]:
    """Return measure to mean over queries."""
    return {measure: measures.mean(values) for measure, values in per_query.items()}


def intervals(outcome: DatasetOutcome, method: str) -> dict[str, tuple[float, float]]:
    """Return measure to the bootstrap interval of its mean."""
    return {
        measure: significance.bootstrap_interval([outcome.column(method, measure)])
        for measure in MEASURES
    }


def _compared(
    group: Sequence[DatasetOutcome], name: str, pair: tuple[str, str], measure: str
) -> MethodDifference:
    baseline, method = pair
    strata = [each.column(method, measure) - each.column(baseline, measure) for each in group]
    return MethodDifference(
        name, method, baseline, measure, significance.paired_difference(strata), 1.0
    )


def _measure(qrels: measures.Qrels, ranked: Mapping[str, Sequence[str]]) -> PerQuery:
    return measures.all_per_query(qrels, measures.run_of(ranked))
