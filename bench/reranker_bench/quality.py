"""Ranking quality by ir-measures, over runs held as plain mappings.

A run maps a query id to its documents' scores, higher is better. Documents of equal score are
ranked in an order of ir-measures' choosing, so break ties before if they matter.
"""

from collections.abc import Mapping
from typing import Any

import ir_measures

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]

NDCG_AT_10 = "nDCG@10"


def per_query(qrels: Qrels, run: Run, measure: str = NDCG_AT_10) -> dict[str, float]:
    """Return the measure of every query that has a relevant document; 0 where the run lacks it.

    Args:
        qrels: Query id to document id to grade.
        run: Query id to document id to score.
        measure: A name that ir-measures can parse, like ``nDCG@10`` or ``RR@10``.
    """
    judged = {q: dict(grades) for q, grades in qrels.items() if any(g > 0 for g in grades.values())}
    values = dict.fromkeys(judged, 0.0)
    scored = {q: dict(scores) for q, scores in run.items() if q in judged and scores}
    parsed: Any = ir_measures.parse_measure(measure)
    for metric in ir_measures.iter_calc([parsed], judged, scored):
        values[metric.query_id] = float(metric.value)
    return values


def mean(values: Mapping[str, float]) -> float:
    """Return the plain mean over queries.

    Raises:
        ValueError: There is no query.
    """
    if not values:
        raise ValueError("no query to average over")
    return sum(values.values()) / len(values)
