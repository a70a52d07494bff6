"""The built-in methods on model doubles."""

from collections.abc import Sequence

import pytest
from support.fakes import FakeModels, tokens_of

from reranker.types import Document, Ranking, RerankRequest
from reranker_methods.best import best
from reranker_methods.fast import fast
from reranker_methods.optimal import optimal
from reranker_methods.standard import standard

BUILDERS = {"fast": fast, "standard": standard, "optimal": optimal, "best": best}


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def rank(models):
    """Rank documents by a built-in method with the fake models."""

    def run(method: str, query: str, documents: Sequence[str], **options) -> Ranking:
        request = RerankRequest(
            query, tuple(Document.of(text) for text in documents), "any", method, **options
        )
        return BUILDERS[method](request, models).run(request)

    return run


@pytest.fixture
def tokens():
    """Return the fake tokens of a text."""
    return tokens_of
