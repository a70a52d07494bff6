"""Every registered method, with and without a cross-encoder where it can do both.

Among them is the example of a plug-in, which needs no model.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reranker import Ranking, Reranker, Settings
from reranker.pipeline import registry

CROSS = "minilm-l6-cross-encoder"
WITH_AND_WITHOUT = ("best",)  # methods that use a cross-encoder if the request names one


@dataclass(frozen=True)
class Case:
    method: str
    model_cross: str | None

    def __str__(self) -> str:
        return f"{self.method}+cross" if self.model_cross else self.method


WITH_MODELS = [
    *(Case(name, None) for name in registry.names() if name in WITH_AND_WITHOUT),
    *(Case(name, CROSS) for name in registry.names()),
]
CASES = [*WITH_MODELS, Case("keywords", None)]
EXAMPLE = Path(__file__).parents[1] / "packaging/example_method/reranker_keywords.py"

Rank = Callable[..., Ranking]


@pytest.fixture(scope="module", autouse=True)
def _example() -> Iterator[None]:
    """Register the example method; other tests do not see it."""
    runpy.run_path(str(EXAMPLE), run_name="reranker_keywords")
    yield
    registry.unregister("keywords")


@pytest.fixture(scope="session")
def engine() -> Iterator[Reranker]:
    """The embedded pair in float32, without a cache: every call is computed."""
    with Reranker(Settings(dtype="float32", offline=True, cache_mb=0)) as reranker:
        yield reranker


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
