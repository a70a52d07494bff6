"""One ranking of a comparison, through `Reranker.rank`, as the server does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reranker.errors import InferenceError, RerankerError
from reranker_bench.comparison.records import DETAILED, RankRecord, Timing

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.types import Ranking
    from reranker_bench.comparison.plan import Plan, Task
    from reranker_bench.data.candidate_pools import Dataset

_UNSEEN = ("please", "exactly", "today", "here", "again", "instead", "overall", "indeed")


def rank_pool(engine: Reranker, plan: Plan, collection: Dataset, task: Task) -> RankRecord:
    """Rank the pool of a query; a method's failure becomes the record's error."""
    pool = collection.pools[task.query]
    try:
        ranking = _call(engine, plan, collection, task, collection.queries[task.query])
    except RerankerError as error:
        return RankRecord(
            task.dataset,
            task.query,
            task.method,
            error=f"{type(error).__name__}: {_reason(error)}",
        )
    return RankRecord(
        dataset=task.dataset,
        query=task.query,
        method=task.method,
        documents=tuple(pool[result.index] for result in ranking),
        scores=tuple(result.score for result in ranking),
        details=_details(ranking),
        seconds=dict(ranking.seconds),
        usage=asdict(ranking.usage),
        truncated=len(ranking.truncated),
        warnings=ranking.warnings,
    )


def time_cold(engine: Reranker, plan: Plan, collection: Dataset, task: Task) -> Timing:
    """Time a ranking by an engine that keeps no results."""
    return _timed(engine, plan, collection, task, "cold", collection.queries[task.query])


def time_warm(engine: Reranker, plan: Plan, collection: Dataset, task: Task) -> Timing:
    """Time a ranking by a caching engine that knows the documents but not the query.

    The query's documents are ranked once before, and the timed query gets a further word, a
    different one for each method: no pair of query and document was scored before.
    """
    text = collection.queries[task.query]
    _call(engine, plan, collection, task, text)
    word = _UNSEEN[plan.methods.index(task.method) % len(_UNSEEN)]
    return _timed(engine, plan, collection, task, "warm", f"{text} {word}")


def warm_up(engine: Reranker, plan: Plan, methods: Sequence[str]) -> None:
    """Load what the methods need, so that no timed call does.

    A method that fails here may do so on every query; its records show why.

    Raises:
        RerankerError: a method or model is unknown or unavailable.
    """
    for method in methods:
        with suppress(InferenceError):
            engine.rank("warm-up", ["a first text", "another one"], **_arguments(plan, method))


def _timed(
    engine: Reranker,
    plan: Plan,
    collection: Dataset,
    task: Task,
    state: str,
    query: str,
) -> Timing:
    start = time.perf_counter()
    _call(engine, plan, collection, task, query)
    seconds = time.perf_counter() - start
    size = len(collection.pools[task.query])
    return Timing(task.dataset, task.query, task.method, state, seconds, size)


def _call(engine: Reranker, plan: Plan, collection: Dataset, task: Task, query: str) -> Ranking:
    texts = [collection.texts[document] for document in collection.pools[task.query]]
    return engine.rank(query, texts, **_arguments(plan, task.method))


def _arguments(plan: Plan, method: str) -> dict[str, Any]:
    return dict(plan.arguments(method))


def _details(ranking: Ranking) -> tuple[dict[str, float], ...]:
    return tuple({**result.stages, **result.features} for result in ranking[:DETAILED])


def _reason(error: RerankerError) -> str:
    cause = error.__cause__
    return f"{error.for_operator()} [{type(cause).__name__}: {cause}]" if cause else str(error)
