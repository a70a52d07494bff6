"""The report of a comparison as data.

`report.json` holds

    schema        1, raised when a key changes its meaning
    status        "whole", or "partial" where rankings are missing or failed
    created       time, UTC, ISO 8601
    settings      what was asked for; digests of the data sets
    models        role -> {"id", "digest"} of the weights that ranked, and of an own "profile"
    machine       processor, cores, device, dtype, threads
    versions      of Python and the packages that matter
    collections   name -> {"queries", "evaluated", "without_candidates", "documents", "pool",
                  "documents_per_query"}
    datasets      name -> method -> {"nDCG@10", "AP", "RR@10", "R@5", "P@1": means over queries,
                  "intervals": measure -> [low, high], "latency": "cold" | "warm" -> {"p50",
                  "p95": seconds a query, "documents_per_second", "queries"}, "queries",
                  "failed", "truncated_documents"}
    ceilings      name -> measure -> value of the pool in perfect order
    input_order   name -> measure -> value of the pool as it came in
    mean          method -> measure -> mean over data sets, each with the same weight
    comparisons   [{"dataset", "method", "baseline", "measure", "difference", "low", "high",
                  "p", "p_holm", "wins", "ties", "losses"}], difference = method - baseline
    advice        data set -> sentences
    notes         sentences on what the settings make of the methods
    failures      [{"dataset", "query", "method", "error"}]
    warnings      sentences
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reranker.pipeline import registry
from reranker_bench import environment
from reranker_bench.evaluation import significance
from reranker_bench.evaluation.latency import by_state
from reranker_bench.evaluation.measures import MEASURES, NDCG_AT_10
from reranker_bench.evaluation.outcomes import (
    ALL,
    DatasetOutcome,
    MethodDifference,
    compare_all,
    evaluate,
    intervals,
    means,
)
from reranker_bench.report.advice import advise

if TYPE_CHECKING:
    from reranker_bench.comparison.plan import Plan
    from reranker_bench.comparison.records import RecordStore, Timing
    from reranker_bench.data.candidate_pools import Dataset

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Report:
    """A comparison evaluated.

    Attributes:
        data: what `report.json` holds.
        outcomes: the data sets with at least one evaluated query.
        methods: in the plan's order.
    """

    data: Mapping[str, Any]
    outcomes: tuple[DatasetOutcome, ...]
    methods: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is missing and nothing failed."""
        return bool(self.data["status"] == "whole")


def build_report(
    plan: Plan,
    collections: Sequence[Dataset],
    store: RecordStore,
    machine: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Report:
    """Evaluate what a store holds.

    Args:
        plan: what was to be done.
        collections: the data sets.
        store: what was done.
        machine: what it was done on; by default this one.
        settings: further settings to record, beside the plan's.
    """
    evaluated = [evaluate(each, store, plan.methods) for each in collections]
    outcomes = tuple(outcome for outcome in evaluated if outcome.queries)
    compared = compare_all(outcomes, plan.methods)
    timings = list(store.timings.values())
    datasets = {
        each.collection.name: {m: _method(each, m, timings, store) for m in plan.methods}
        for each in outcomes
    }
    failures = _failures(store, plan.methods)
    whole = len(outcomes) == len(collections) and all(each.complete for each in outcomes)
    mean = _mean(datasets, plan.methods)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "status": "whole" if whole and not failures else "partial",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {
            **plan.identity(collections),
            **(settings or {}),
            "resamples": significance.RESAMPLES,
            "seed": significance.SEED,
        },
        "models": store.models,
        "machine": dict(machine or environment.machine()),
        "versions": environment.versions(),
        "collections": {each.collection.name: _collection(each) for each in evaluated},
        "datasets": datasets,
        "ceilings": {each.collection.name: means(each.ceiling) for each in outcomes},
        "input_order": {each.collection.name: means(each.input_order) for each in outcomes},
        "mean": mean,
        "comparisons": [_comparison(each) for each in compared],
        "advice": _advice(datasets, mean, compared, timings),
        "notes": _notes(plan, collections),
        "failures": failures,
        "warnings": _warnings(evaluated, store),
    }
    return Report(data, outcomes, plan.methods)


def _method(
    outcome: DatasetOutcome, method: str, timings: Sequence[Timing], store: RecordStore
) -> dict[str, Any]:
    name = outcome.collection.name
    tried = [r for task, r in store.records.items() if task.dataset == name]
    ours = [record for record in tried if record.method == method]
    return {
        **means(outcome.values[method]),
        "intervals": intervals(outcome, method),
        "latency": by_state(t for t in timings if t.dataset == name and t.method == method),
        "queries": len(outcome.queries),
        "failed": sum(record.error is not None for record in ours),
        "truncated_documents": sum(record.truncated for record in ours),
    }


def _collection(outcome: DatasetOutcome) -> dict[str, object]:
    collection = outcome.collection
    sizes = [len(pool) for pool in collection.pools.values()]
    return {
        "queries": len(collection.queries),
        "evaluated": len(outcome.queries),
        "without_candidates": len(collection.missed),
        "documents": len(collection.texts),
        "pool": collection.source,
        "documents_per_query": round(sum(sizes) / max(len(sizes), 1), 1),
    }


def _mean(datasets: Mapping[str, Any], methods: Sequence[str]) -> dict[str, dict[str, float]]:
    return {
        method: {
            measure: sum(found[method][measure] for found in datasets.values()) / len(datasets)
            for measure in MEASURES
        }
        for method in methods
        if datasets
    }


def _comparison(compared: MethodDifference) -> dict[str, object]:
    values = asdict(compared)
    difference = values.pop("difference")
    return {**values, "difference": difference.pop("mean"), **difference}


def _advice(
    datasets: Mapping[str, Any],
    mean: Mapping[str, Mapping[str, float]],
    compared: Sequence[MethodDifference],
    timings: Sequence[Timing],
) -> dict[str, list[str]]:
    def latency(name: str | None) -> dict[str, float]:
        kept = [t for t in timings if name is None or t.dataset == name]
        states = {m: by_state(t for t in kept if t.method == m) for m in mean}
        return {m: found["cold"]["p50"] for m, found in states.items() if "cold" in found}

    advice = {}
    if len(datasets) > 1:
        values = {method: found[NDCG_AT_10] for method, found in mean.items()}
        advice[ALL] = advise(ALL, values, compared, latency(None))
    for name, methods in datasets.items():
        values = {method: found[NDCG_AT_10] for method, found in methods.items()}
        advice[name] = advise(name, values, compared, latency(name))
    return advice


def _notes(plan: Plan, collections: Sequence[Dataset]) -> list[str]:
    """Say where stage 1 keeps the whole pool, so that a cascade saves nothing."""
    deepest = max((len(pool) for each in collections for pool in each.pools.values()), default=0)
    cascades = [m for m in plan.methods if registry.get(m).two_stage]
    if not cascades or deepest > plan.stage1_top_k:
        return []
    named = " and ".join(f"`{method}`" for method in cascades)
    return [
        f"No query has more than {deepest} candidates and stage 1 of {named} keeps "
        f"{plan.stage1_top_k}, so it drops nothing and saves nothing. "
        f"`--stage1-top-k {max(1, deepest // 4)}` shows what the cascade is for."
    ]


def _failures(store: RecordStore, methods: Sequence[str]) -> list[dict[str, object]]:
    return [
        {"dataset": r.dataset, "query": r.query, "method": r.method, "error": r.error}
        for r in store.records.values()
        if r.error is not None and r.method in methods
    ]


def _warnings(outcomes: Sequence[DatasetOutcome], store: RecordStore) -> list[str]:
    found = dict.fromkeys(text for r in store.records.values() for text in r.warnings)
    for outcome in outcomes:
        if missed := outcome.collection.missed:
            some = "1 query has" if len(missed) == 1 else f"{len(missed)} queries have"
            found[f"{outcome.collection.name}: {some} no candidates and counts 0"] = None
    return list(found)
