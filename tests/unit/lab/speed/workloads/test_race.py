"""Who is timed, in which order, and who is not."""

from __future__ import annotations

from support.peers import POOLS, InProcess

from lab.speed.results import DISAGREES, FAILED, MEASURED, NOT_INSTALLED, WorkloadResult
from lab.speed.workloads import agreement
from lab.speed.workloads.race import Side, race


def rows_of(sides, repeats=2):
    return race(sides, POOLS, repeats, lambda _: None, unit_count=5)


def side(name, loaded, log=None, dtype="float32", **options):
    return Side(name, dtype, lambda: InProcess(log=log, name=name), loaded | {"options": options})


def test_sides_take_turns_after_a_round_off_the_clock(loaded) -> None:
    log: list[str] = []
    rows = rows_of([side("a", loaded, log), side("b", loaded, log)], repeats=3)
    assert log == ["a", "b", "a", "b", "a", "b", "a", "b"]
    assert [len(row.rates) for row in rows] == [3, 3]
    assert all(row.versions["pip"] for row in rows)


def test_a_side_that_disagrees_is_refused_its_time(loaded) -> None:
    log: list[str] = []
    right, wrong = rows_of([side("a", loaded, log), side("b", loaded, log, off=0.001)])
    assert right.state == MEASURED
    assert (wrong.state, wrong.rates) == (DISAGREES, ())
    assert wrong.why == "scores differ by 0.001, allowed is 0.0001"
    assert log.count("b") == 1  # its scores were wanted, its time was not


def test_a_short_format_may_be_off_by_what_it_rounds(loaded) -> None:
    short = {"off": 0.01, "dtype": "bfloat16"}
    rows = rows_of([side("a", loaded), Side("b", "auto", InProcess, loaded | {"options": short})])
    assert [row.label for row in rows] == ["a float32", "b bfloat16"]
    assert [row.state for row in rows] == [MEASURED, MEASURED]
    assert rows[1].extra["difference"] == 0.01
    assert rows[1].extra["tolerance"] == agreement.tolerance("bfloat16")


def test_the_reference_is_the_first_exact_side(loaded) -> None:
    off = Side("short", "auto", InProcess, loaded | {"options": {"off": 0.01, "dtype": "bfloat16"}})
    rows = rows_of([off, side("exact", loaded)])
    assert [row.state for row in rows] == [MEASURED, MEASURED]
    assert rows[1].extra["difference"] == 0


def test_a_peer_that_is_not_there_is_listed(loaded) -> None:
    rows = rows_of([Side("absent", "float32", None), side("a", loaded)])
    assert (rows[0].state, rows[0].why) == (NOT_INSTALLED, "see `make speed-peers`")
    assert rows[1].state == MEASURED


def test_a_peer_that_fails_does_not_stop_the_others(loaded) -> None:
    rows = rows_of(
        [side("a", loaded, fail="load"), side("b", loaded, fail="run"), side("c", loaded)]
    )
    assert [row.state for row in rows] == [FAILED, FAILED, MEASURED]
    assert rows[0].why == "ValueError: no such model"
    assert rows[1].why == "RuntimeError: out of luck"


def test_ratios_leave_out_who_was_not_measured(loaded) -> None:
    rows = rows_of([side("a", loaded), Side("absent", "float32", None), side("b", loaded)])
    found = WorkloadResult(
        "t", "u", rows, [("a float32", "b float32"), ("a float32", "absent float32")]
    )
    assert [each["against"] for each in found.ratios()] == ["b float32"]


def test_scores_of_another_shape_never_agree() -> None:
    assert agreement.difference([[1.0, 2.0]], [[1.0]]) == float("inf")
    assert agreement.difference([[1.0], [2.0]], [[1.0, 2.0]]) == float("inf")
    assert agreement.difference([[float("nan")]], [[1.0]]) == float("inf")
    assert agreement.difference([[1.0, 2.0], [3.0]], [[1.0, 2.5], [2.0]]) == 1.0
