"""Ranking quality by ir-measures, over runs held as plain mappings.

A run maps a query id to its documents' scores, higher is better. Documents of equal score are
ranked in an order of ir-measures' choosing, so break ties before if they matter: `run_of` does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import ir_measures

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]

NDCG_AT_10 = "nDCG@10"
MEASURES = (NDCG_AT_10, "AP", "RR@10", "R@5", "P@1")


def run_of(ranked: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """Return the run that keeps the order of ranked documents whoever sorts it.

    The score of a document is the number of documents from it to the end of its list, so that
    scores fall strictly, without rounding: every tie was broken when the list was ranked.
    """
    return {
        query: {d: float(len(documents) - place) for place, d in enumerate(documents)}
        for query, documents in ranked.items()
    }


def per_query(qrels: Qrels, run: Run, measure: str = NDCG_AT_10) -> dict[str, float]:
    """Return the measure of every query that has a relevant document; 0 where the run lacks it.

    Args:
        qrels: Query id to document id to grade.
        run: Query id to document id to score.
        measure: A name that ir-measures can parse, like ``nDCG@10`` or ``RR@10``.
    """
    return all_per_query(qrels, run, (measure,))[measure]


def all_per_query(
    qrels: Qrels, run: Run, measures: Sequence[str] = MEASURES
) -> dict[str, dict[str, float]]:
    """Return for each measure what `per_query` does, in one pass."""
    judged = {q: dict(grades) for q, grades in qrels.items() if any(g > 0 for g in grades.values())}
    parsed: dict[str, Any] = {name: ir_measures.parse_measure(name) for name in measures}
    values = {name: dict.fromkeys(judged, 0.0) for name in measures}
    scored = {q: dict(scores) for q, scores in run.items() if q in judged and scores}
    names = {measure: name for name, measure in parsed.items()}
    if scored:
        for metric in ir_measures.iter_calc(list(names), judged, scored):
            values[names[metric.measure]][metric.query_id] = float(metric.value)
    return values


def mean(values: Mapping[str, float]) -> float:
    """Return the plain mean over queries.

    Raises:
        ValueError: There is no query.
    """
    if not values:
        raise ValueError("no query to average over")
    return sum(values.values()) / len(values)
