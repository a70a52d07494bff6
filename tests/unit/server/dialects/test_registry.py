"""Dialects by entry point: a broken or conflicting one is named in the log, the others work."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from support.apps import starting
from support.fakes import FakeModels
from support.plugins import install

from reranker_server.dialects.registry import DialectRegistry

GOOD = """
from reranker_server.dialects import RankingRequest, ranking_dialect

MINE = ranking_dialect(
    "mine",
    RankingRequest,
    lambda parsed, ranking: [item.index for item in parsed.items(ranking)],
    response=list[int],
    {more}
)
"""
BODY = {"query": "a b", "documents": ["c", "a b"]}
Add = Callable[..., None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Install a package with one dialect in a module of its name."""

    def add(source: str, name: str = "mine", package: str = "theirs") -> None:
        entries = {name: f"{package}_dialect:MINE"}
        folder = tmp_path / package
        module = f"{package}_dialect"
        install(folder, monkeypatch, entries, group="reranker.dialects", **{module: source})
        monkeypatch.delitem(sys.modules, module, raising=False)

    return add


def names() -> set[str]:
    return {dialect.name for dialect in DialectRegistry(reserved=["/healthz"]).dialects}


BUILT_IN = {
    *("cloudflare", "cohere", "dashscope", "deepinfra", "infinity", "mixedbread", "nim"),
    *("openai", "pinecone", "score", "sglang", "tei", "tei-embed", "tei-tokenize"),
    *("voyage", "weaviate"),
}


def test_the_built_in_dialects_are_registered_as_any_other_is() -> None:
    assert names() == BUILT_IN


def test_an_installed_dialect_is_served(add: Add) -> None:
    add(GOOD.format(more="matches=lambda incoming: 'mine' in incoming.payload"))
    assert names() == BUILT_IN | {"mine"}
    with starting(FakeModels()) as start:
        client: TestClient = start()
        assert client.post("/mine/rerank", json=BODY).json() == [1, 0]
        assert client.post("/v1/rerank", json=BODY | {"mine": 1}).json() == [1, 0]
        assert "results" in client.post("/v1/rerank", json=BODY).json()


@pytest.mark.parametrize(
    ("source", "name", "reason"),
    [
        ("import a_package_nobody_has", "mine", "cannot be imported: ModuleNotFoundError"),
        ("MINE = 'a text'", "mine", "no Dialect but a str"),
        ("x = 1", "mine", "cannot be imported: AttributeError"),
        (GOOD.format(more=""), "other", "calls itself 'mine'"),
        (GOOD.format(more=""), "tei", "the name belongs to 'reranker'"),
        (GOOD.format(more="paths=('/v1/rerank',)"), "mine", "/v1/rerank is taken by"),
        (GOOD.format(more="paths=('/healthz',)"), "mine", "taken by the server itself"),
        (GOOD.format(more="paths=('mine',)"), "mine", "does not start with /"),
        (GOOD.format(more="error=object()"), "mine", "pydantic cannot describe"),
    ],
)
def test_one_that_cannot_be_used_is_named_in_one_line(
    add: Add, caplog: pytest.LogCaptureFixture, source: str, name: str, reason: str
) -> None:
    add(source, name)
    with caplog.at_level(logging.ERROR):
        assert names() == BUILT_IN
    (record,) = caplog.records
    line = record.getMessage()
    assert repr(name) in line
    assert reason in line
    assert "\n" not in line
    assert record.exc_info is None


def test_one_whose_matching_fails_takes_no_route_from_the_others(
    add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    add(GOOD.format(more="matches=lambda incoming: 1 / 0"))
    with starting(FakeModels()) as start:
        client: TestClient = start()
        assert "results" in client.post("/v1/rerank", json=BODY).json()
        assert client.post("/mine/rerank", json=BODY).json() == [1, 0]
    assert any("'mine' cannot match" in record.getMessage() for record in caplog.records)


def test_one_that_fails_on_a_request_is_named_in_the_log(
    add: Add, caplog: pytest.LogCaptureFixture
) -> None:
    add(GOOD.format(more="").replace("item.index", "item.nothing"))
    with starting(FakeModels()) as start:
        response = start().post("/mine/rerank", json=BODY)
    assert response.status_code == 500
    assert "500 internal: dialect 'mine' failed: AttributeError" in caplog.messages


def test_a_specific_match_goes_before_a_loose_one() -> None:
    paths = dict(DialectRegistry().routes())
    order = [dialect.name for dialect in paths["/v1/rerank"].others]
    assert order[0] == "pinecone"
    assert order[-1] == "voyage"


def test_paths_without_a_variable_part_come_first() -> None:
    variable = ["{" in path for path, _ in DialectRegistry().routes()]
    assert variable == sorted(variable)
