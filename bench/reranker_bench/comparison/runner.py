"""The comparison itself: rank every query by every method, then time a sample of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reranker.errors import RerankerError
from reranker.pipeline import registry
from reranker_bench import environment
from reranker_bench.comparison import ranking
from reranker_bench.comparison.records import RankRecord, RecordStore

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.families.roles import BiEncoder, CrossEncoder
    from reranker_bench.comparison.plan import Plan, Task
    from reranker_bench.data.candidate_pools import Dataset

EngineMaker = Callable[[int | None], "Reranker"]
"""Makes an engine with that many MiB of cache a model; 0 keeps nothing, None: as configured."""


class Observer(Protocol):
    """Is called as the work goes on."""

    def begin(self, phase: str, total: int, done: int) -> None:
        """A phase of `total` steps begins, of which `done` were done before."""

    def step(self, task: Task, error: str | None = None) -> None:
        """A step is done, or failed for that reason."""


class Comparison:
    """Runs a plan over collections, keeping each result as it comes.

    Args:
        plan: what to do.
        collections: the data sets.
        store: where results go; what it holds is not done again.
        make_engine: see `EngineMaker`.
        observer: is called with the progress.
    """

    def __init__(
        self,
        plan: Plan,
        collections: Sequence[Dataset],
        store: RecordStore,
        make_engine: EngineMaker,
        observer: Observer,
    ) -> None:
        self.plan = plan
        self.store = store
        self._collections = {each.name: each for each in collections}
        self._make_engine = make_engine
        self._observer = observer

    def run(self) -> None:
        """Do all that is not done yet.

        Raises:
            RerankerError: a method or model is unknown or unavailable. A method that fails on
                a query does not raise: its record says why.
            KeyboardInterrupt: as it comes; what was done by then is kept.
        """
        if self.pending() or self._untimed("warm"):
            with self._engine(None) as engine:
                self.store.use_models(models_of(engine, self.plan))
                self.store.note_machine(environment.machine(engine))
                self.rank_all(engine)
                self._time("warm", engine)
        if self._untimed("cold"):
            with self._engine(0) as engine:
                self._time("cold", engine)

    def pending(self) -> list[Task]:
        """Return the tasks without a ranking."""
        return [task for task in self._tasks() if not self.store.done(task)]

    def rank_all(self, engine: Reranker) -> None:
        """Rank what is not ranked yet."""
        pending = self.pending()
        self.begin_ranking(pending)
        for task in pending:
            self.keep(ranking.rank_pool(engine, self.plan, self._collections[task.dataset], task))

    def begin_ranking(self, pending: Sequence[Task]) -> None:
        """Tell the observer how much there is to rank."""
        total = len(self._tasks())
        self._observer.begin("ranking", total, total - len(pending))

    def keep(self, record: RankRecord) -> None:
        """Keep a ranking and tell the observer."""
        self.store.add(record)
        self._observer.step(record.task, record.error)

    def _tasks(self) -> list[Task]:
        return list(self.plan.tasks(list(self._collections.values())))

    def _untimed(self, state: str) -> list[Task]:
        tasks = self.plan.latency_tasks(list(self._collections.values()))
        return [
            task
            for task in tasks
            if (task, state) not in self.store.timings and self.store.done(task)
        ]

    def _time(self, state: str, engine: Reranker) -> None:
        measure = ranking.time_cold if state == "cold" else ranking.time_warm
        untimed = self._untimed(state)
        self._observer.begin(f"{state} latency", len(untimed), 0)
        for task in untimed:
            try:
                self.store.add(measure(engine, self.plan, self._collections[task.dataset], task))
            except RerankerError as error:
                self._observer.step(task, str(error))
            else:
                self._observer.step(task)

    @contextmanager
    def _engine(self, cache_mb: int | None) -> Iterator[Reranker]:
        with self._make_engine(cache_mb) as engine:
            ranking.warm_up(engine, self.plan, self.plan.methods)
            yield engine


def models_of(engine: Reranker, plan: Plan) -> dict[str, object]:
    """Return id and digest of what the plan's methods rank with.

    These are the weights behind each role in use and, where the settings name one, the user's
    own profile of `best`.
    """
    roles = {role for method in plan.methods for role in registry.get(method).roles}
    cross = plan.model_cross or engine.settings.model_cross
    loaded: dict[str, BiEncoder | CrossEncoder] = {}
    if "bi-encoder" in roles:
        loaded["bi-encoder"] = engine.models.bi_encoder(plan.model)
    if "cross-encoder" in roles or plan.model_cross is not None:
        loaded["cross-encoder"] = engine.models.cross_encoder(cross)
    found: dict[str, object] = {
        role: {"id": model.name, "digest": model.digest} for role, model in loaded.items()
    }
    if engine.settings.profile is not None:
        path = Path(engine.settings.profile).expanduser()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found["profile"] = {"id": path.name, "digest": digest}
    return found
