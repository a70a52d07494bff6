"""A measurement of an engine on model doubles, and of a server of a few lines."""

from __future__ import annotations

import pytest
from support.fakes import FakeModels

from reranker.engine import Reranker
from reranker.errors import UnknownMethod
from reranker.settings import Settings
from reranker_bench.data.collections import open_collection
from reranker_bench.speed import workload
from reranker_bench.speed.closed_loop import STAMP
from reranker_bench.speed.engine_client import EngineClient
from reranker_bench.speed.experiment import SpeedOptions, measure_speed


@pytest.fixture
def models(monkeypatch) -> FakeModels:
    fakes = FakeModels()
    monkeypatch.setattr("reranker.engine.open_pool", lambda *_: fakes)
    return fakes


def options(**changes) -> SpeedOptions:
    values = {"methods": ["fast"], "documents": 3, "clients": [1, 2], "seconds": 0.1, "repeats": 2}
    return SpeedOptions(**{**values, **changes})


def test_an_engine_is_measured_cold_and_warm_at_every_level(models) -> None:
    found = measure_speed(options(), Settings(), lambda _: None)
    cells = [(row["method"], row["state"], row["clients"]) for row in found["rows"]]
    assert cells == [("fast", state, n) for state in ("cold", "warm") for n in (1, 2)]
    for row in found["rows"]:
        assert row["errors"] == {}
        assert row["p50_ms"] <= row["p95_ms"]
        rate = row["requests_per_second"]["median"]
        assert row["documents_per_second"]["median"] == pytest.approx(3 * rate, rel=1e-3)
    assert found["target"] == "engine"
    assert found["matmul_gflops"]["median"] > 0


def test_a_method_that_does_not_exist_is_an_error(models) -> None:
    with pytest.raises(UnknownMethod):
        measure_speed(options(methods=["bets"]), Settings(), lambda _: None)


def test_cold_texts_are_new_and_warm_documents_are_not() -> None:
    source = open_collection("sample")
    cold = workload.build_workload(source, "fast", "cold", 4, {"model": "m"})
    warm = workload.build_workload(source, "fast", "warm", 4, {"model": "m"})
    assert all(STAMP in text for request in cold.requests for text in request["documents"])
    assert len({tuple(request["documents"]) for request in warm.requests}) == 1
    assert not any(STAMP in text for text in warm.requests[0]["documents"])
    assert all(STAMP in request["query"] for request in (*cold.requests, *warm.requests))


def test_the_stamp_makes_the_texts_new(models) -> None:
    client = EngineClient(Reranker(Settings(), models=models))
    request = {"query": f"q {STAMP}", "documents": [f"{STAMP} a"], "method": "fast"}
    client.rank(request, "000007")
    client.close()
    assert {texts for _, texts, _ in models.bi.calls} == {("q 000007",), ("000007 a",)}
