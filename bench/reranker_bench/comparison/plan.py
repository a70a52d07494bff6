"""What a comparison is to do: the settings of every ranking, and the list of rankings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from reranker.errors import InvalidRequest
from reranker.types import DEFAULT_MAX_TOKENS_PER_DOC, DEFAULT_STAGE1_TOP_K
from reranker_bench.data.candidate_pools import Dataset, spaced

METHODS = ("fast", "standard", "optimal", "best")
LATENCY_QUERIES = 10


class PlanError(InvalidRequest):
    """The comparison is impossible, or differs from the one in the output folder."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of the work, numbered from 1."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "i/n".

        Raises:
            PlanError: it is not of that form, or i is not among 1 to n.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise PlanError(f"--shard {text}: write i/n with i from 1 to n, like 1/4")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, position: int) -> bool:
        """Return whether the query at a position, from 0, is in this part."""
        return position % self.count == self.number - 1


WHOLE = Shard()


@dataclass(frozen=True, slots=True)
class Task:
    """One ranking: a query of a data set by a method."""

    dataset: str
    query: str
    method: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of a comparison.

    Attributes:
        methods: names, at least one, the first is what the others are held against.
        model: bi-encoder id.
        model_cross: cross-encoder id, or None: `best` does without one, and methods that cannot
            take the engine's default.
        stage1_top_k: how many documents leave stage 1.
        max_tokens_per_doc: where documents are cut.
        latency_queries: queries of each data set on which latency is measured.
        shard: the part of the queries to rank.
    """

    methods: tuple[str, ...]
    model: str
    model_cross: str | None
    stage1_top_k: int = DEFAULT_STAGE1_TOP_K
    max_tokens_per_doc: int = DEFAULT_MAX_TOKENS_PER_DOC
    latency_queries: int = LATENCY_QUERIES
    shard: Shard = WHOLE

    def __post_init__(self) -> None:
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise PlanError("--methods needs at least one method, and each once")

    def arguments(self, method: str) -> dict[str, object]:
        """Return the keyword arguments of `Reranker.rank`."""
        return {
            "method": method,
            "model": self.model,
            "model_cross": self.model_cross,
            "stage1_top_k": self.stage1_top_k,
            "max_tokens_per_doc": self.max_tokens_per_doc,
        }

    def tasks(self, collections: Sequence[Dataset]) -> Iterator[Task]:
        """Yield this shard's rankings: query by query, each by all methods, in turning order.

        Turning the order spreads whatever comes first (filling a cache) over the methods.
        Queries without candidates need no ranking.
        """
        for collection in collections:
            for position, query in enumerate(collection.queries):
                if self.shard.holds(position) and collection.pools[query]:
                    for method in self.turned(position):
                        yield Task(collection.name, query, method)

    def latency_tasks(self, collections: Sequence[Dataset]) -> Iterator[Task]:
        """Yield this shard's part of the rankings that are timed."""
        for collection in collections:
            place = {query: position for position, query in enumerate(collection.queries)}
            answerable = [query for query in collection.queries if collection.pools[query]]
            for turn, query in enumerate(spaced(answerable, self.latency_queries)):
                if self.shard.holds(place[query]):
                    for method in self.turned(turn):
                        yield Task(collection.name, query, method)

    def turned(self, position: int) -> tuple[str, ...]:
        """Return the methods, the one at `position` (counted round) first."""
        start = position % len(self.methods)
        return self.methods[start:] + self.methods[:start]

    def identity(self, collections: Sequence[Dataset]) -> dict[str, object]:
        """Return what must be equal for two runs to be parts of one, as JSON values."""
        values: dict[str, object] = asdict(self)
        values["methods"] = list(self.methods)
        values["shard"] = str(self.shard)
        values["datasets"] = {each.name: each.digest for each in collections}
        return values


def differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Return the keys under which two identities differ."""
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
