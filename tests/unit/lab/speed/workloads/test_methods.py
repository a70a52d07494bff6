"""W4 and W6 ask for what they say they measure."""

from __future__ import annotations

from support.peers import InProcess

from lab.speed.options import RaceOptions
from lab.speed.workloads import encoders, growth
from lab.speed.workloads import methods as engine
from lab.speed.workloads.methods import COLD, VARIANTS, WARM
from lab.speed.workloads.texts import Pool

LOAD = {"role": "ranking", "folder": "", "threads": 1, "max_tokens": 8, "device": "cpu"}


def test_every_request_asks_a_new_query_of_the_same_documents() -> None:
    sessions = {state: InProcess() for state in (COLD, WARM)}
    for session in sessions.values():
        session.ask("load", **LOAD, dtype="auto", options={})
    found = [Pool(f"query {n}", (f"a {n}", "b")) for n in range(3)]
    cells = engine.measure(sessions, found, 2, 3, lambda _: None)
    assert set(cells) == {(variant, state) for variant in VARIANTS for state in sessions}
    assert all(len(cell.rates) == 3 and len(cell.seconds) == 6 for cell in cells.values())
    for session in sessions.values():
        pools = [ask["pools"] for ask in session.asked if ask["op"] == "texts"]
        queries = [query for pool in pools for query, _ in pool]
        assert len(queries) == len(set(queries)) == 2 * 4 * len(VARIANTS)
        assert all([tuple(texts) for _, texts in p] == [("a 0", "b"), ("a 1", "b")] for p in pools)


def test_sizes_grow_in_turns(monkeypatch, checkpoint) -> None:
    session = InProcess()
    monkeypatch.setattr(encoders, "minilm", lambda options: checkpoint("bert-cross"))
    monkeypatch.setattr(engine, "start_engine", lambda options: session)
    found = growth.w6(RaceOptions(repeats=2), lambda _: None, documents=(100, 200), tokens=(16, 32))
    names = [
        "fast, 100 documents",
        "fast, 200 documents",
        "standard, 16 tokens",
        "standard, 32 tokens",
    ]
    assert [row.name for row in found.rows] == names
    assert [len(row.rates) for row in found.rows] == [2, 2, 2, 2]
    assert [each["row"] for each in found.ratios()] == ["fast, 200 documents"]
    asked = [len(ask["pools"][0][1]) for ask in session.asked if ask["op"] == "texts"]
    assert asked == [100, 200, growth.FEW, growth.FEW] * 2
    assert session.closed
