from types import SimpleNamespace
from typing import Any

import pytest

from reranker_bench.report.advice import choice

VALUES = {"fast": 0.54, "standard": 0.55, "best": 0.56}
SECONDS = {"fast": 1.0, "standard": 2.0, "best": 3.0}


def pairs(*better: tuple[str, str]) -> dict[tuple[str, str], Any]:
    """Say who is measurably better than whom; of the other pairs nothing is known."""
    made = {}
    for method in VALUES:
        for other in VALUES:
            known = (method, other) in better
            gain = SimpleNamespace(mean=VALUES[method] - VALUES[other])
            made[method, other] = SimpleNamespace(p_holm=0.01 if known else 1.0, difference=gain)
    return made


@pytest.mark.parametrize(
    ("better", "chosen"),
    [
        ([], "fast"),
        ([("best", "fast")], "best"),  # of the one in between nothing is known
        ([("standard", "fast")], "standard"),
        ([("standard", "fast"), ("best", "fast")], "standard"),
        ([("standard", "fast"), ("best", "standard"), ("best", "fast")], "best"),
    ],
)
def test_a_slower_method_is_taken_only_for_a_measured_gain(
    better: list[tuple[str, str]], chosen: str
) -> None:
    assert choice(VALUES, pairs(*better), SECONDS) == chosen


def test_without_latencies_the_given_order_counts() -> None:
    assert choice(VALUES, pairs(("standard", "fast")), {}) == "standard"
    assert choice(VALUES, pairs(), {}) == "fast"
