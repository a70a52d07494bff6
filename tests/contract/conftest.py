"""Every registered method, with and without a cross-encoder where it can do both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from reranker import Ranking, Reranker, Settings
from reranker.pipeline import registry

CROSS = "minilm-l6-cross-encoder"
WITH_AND_WITHOUT = ("best",)  # methods that use a cross-encoder if they are given one


@dataclass(frozen=True)
class Case:
    method: str
    model_cross: str | None

    def __str__(self) -> str:
        return f"{self.method}+cross" if self.model_cross else self.method


CASES = [
    *(Case(name, None) for name in registry.names() if name in WITH_AND_WITHOUT),
    *(Case(name, CROSS) for name in registry.names()),
]

Rank = Callable[..., Ranking]


@pytest.fixture(scope="session")
def engine() -> Iterator[Reranker]:
    """The embedded pair in float32, with nothing kept: every call is computed."""
    with Reranker(Settings(dtype="float32", offline=True, cache_mb=0)) as made:
        yield made


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture
def rank(engine: Reranker, case: Case) -> Rank:
    """Rank documents by the case's method."""

    def run(query: str, documents: Sequence[Any], **options: Any) -> Ranking:
        return engine.rank(
            query, documents, method=case.method, model_cross=case.model_cross, **options
        )

    return run
