"""What the page says, and that data cannot break out of it."""

from __future__ import annotations

import json
from pathlib import Path

from support.comparison import Failing

from reranker_bench.comparison.records import RankRecord
from reranker_bench.evaluation.outcomes import MethodDifference
from reranker_bench.evaluation.significance import Difference
from reranker_bench.report import advice, plots
from reranker_bench.report.examples import explain, snippet
from reranker_bench.report.page import marked
from reranker_bench.report.plots import Point


def compared(method: str, mean: float, p: float, baseline: str = "fast") -> MethodDifference:
    difference = Difference(mean, mean - 0.01, mean + 0.01, p, 5, 3, 2)
    return MethodDifference("mine", method, baseline, "nDCG@10", difference, p)


def test_texts_are_escaped(page, compare, dataset: Path, tmp_path: Path) -> None:
    lines = (dataset / "queries.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    rows[0]["text"] = "winter <script>alert(1)</script> ferry"
    (dataset / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    compare(engine=Failing, methods=("fast", "standard"))
    text = (tmp_path / "out/report.html").read_text("utf-8")
    assert "<script" not in text
    assert "InferenceError: the model did not like it" in text


def test_words_of_the_query_are_marked() -> None:
    text = marked("The Ferry & the <b>boat</b>", "is the ferry late")
    assert text == "The <mark>Ferry</mark> &amp; the &lt;b&gt;boat&lt;/b&gt;"


def test_advice_names_gain_p_and_cost() -> None:
    sentences = advice.advise(
        "mine",
        {"fast": 0.5, "best": 0.531},
        [compared("best", 0.031, 0.002)],
        {"fast": 0.1, "best": 0.4},
    )
    assert sentences == [
        "On mine, take `best`: no method scores higher, and it is measurably better than `fast`.",
        "On mine, `best` gains 3.1 points over `fast` (p = .002) at 4 times the latency.",
    ]


def test_advice_takes_the_quickest_of_what_cannot_be_told_apart() -> None:
    sentences = advice.advise(
        "mine",
        {"fast": 0.5, "standard": 0.4, "best": 0.51},
        [
            compared("standard", -0.1, 0.001),
            compared("best", 0.01, 0.4),
            compared("best", 0.11, 0.001, "standard"),
        ],
        {"fast": 0.1, "standard": 0.09, "best": 0.4},
    )
    assert sentences[0] == (
        "On mine, take `fast`: `best` scores 1.0 points higher, which these queries cannot tell "
        "from chance, and it is measurably better than `standard`."
    )
    assert (
        "`standard` loses 10.0 points against `fast` (p = .001) at 1.1 times less" in sentences[1]
    )
    assert "anything from +0.0 to +2.0 points fits the data" in sentences[2]


def test_the_front_holds_what_nothing_beats() -> None:
    quick, better, slow = (
        Point(name, value, 0, 1, cold)
        for name, value, cold in (("quick", 0.5, 1.0), ("better", 0.6, 2.0), ("slow", 0.55, 3.0))
    )
    assert plots.pareto([slow, better, quick]) == (quick, better)


def test_an_explanation_tells_what_moved_and_why() -> None:
    ours = RankRecord(
        "d", "q", "best", ("a", "b"), details=({"bi_encoder": 0.4}, {"bi_encoder": 0.6})
    )
    theirs = RankRecord("d", "q", "fast", ("b", "a"))
    assert explain({"a": 1}, ours, theirs) == (
        "The relevant document a stands at rank 1 with best, at rank 2 with fast. "
        "In best, next to b: cosine 0.40 against 0.60."
    )
    dropped = RankRecord("d", "q", "optimal", ("b",))
    assert "stands nowhere with optimal, at rank 2 with fast" in explain({"a": 1}, dropped, theirs)
    assert explain({"z": 1}, ours, theirs).startswith("The relevant documents keep their ranks")


def test_a_snippet_ends_at_a_word() -> None:
    assert snippet("one  two\nthree", 6) == "one …"
    assert snippet("one  two", 8) == "one two"
