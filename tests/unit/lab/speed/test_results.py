"""The file, its merging, and the tables made from it."""

from __future__ import annotations

import json

import pytest

from lab.speed import markdown, plot, results
from lab.speed.results import NOT_INSTALLED, ResultsError, Row, WorkloadResult

ROWS = [
    Row(
        "sentence-transformers",
        "float32",
        versions={"sentence-transformers": "6.2.0"},
        rates=(10.0, 12.0, 11.0),
    ),
    Row("infinity-emb", "float32", NOT_INSTALLED, "see `make speed-peers`"),
    Row("reranker", "bfloat16", rates=(40.0, 36.0, 44.0), extra={"peak_mb": 700}),
]
AGAINST = [("reranker bfloat16", "sentence-transformers float32")]
ORIGIN = {
    "command": "reranker speed",
    "made": "2026-01-01T00:00:00+00:00",
    "machine": {"processor": "Example", "cores": 2, "flags": ["avx512_bf16"]},
    "versions": {},
}


@pytest.fixture
def folder(tmp_path):
    found = WorkloadResult(
        "W1 cross-encoder", "pairs/s", ROWS, AGAINST, {"threads": 2, "repeats": 3}
    )
    results.keep(tmp_path / results.FILE, {"w1": found.to_json() | ORIGIN})
    return tmp_path


def test_the_file_says_what_its_schema_says(folder) -> None:
    found = json.loads((folder / results.FILE).read_text())
    assert found["schema"] == 1
    w1 = found["workloads"]["w1"]
    assert set(w1) == {"title", "unit", "settings", "rows", "ratios", "notes", *ORIGIN}
    assert w1["rows"][0]["rate"] == {"median": 11.0, "low": 10.5, "high": 11.5}
    assert w1["rows"][1]["rate"] is None
    # repeat by repeat 4, 3 and 4
    assert w1["ratios"] == [
        {"row": AGAINST[0][0], "against": AGAINST[0][1], "median": 4.0, "low": 3.5, "high": 4.0}
    ]


def test_another_run_replaces_its_workloads_and_keeps_the_others(folder) -> None:
    path = folder / results.FILE
    results.keep(path, {"w0": {"title": "new"}})
    results.keep(path, {"w0": {"title": "newer"}})
    workloads = results.read(path)["workloads"]
    assert list(workloads) == ["w0", "w1"]
    assert workloads["w0"] == {"title": "newer"}


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2, "workloads": {}}', '{"schema": 1}'])
def test_another_file_of_the_name_is_not_overwritten(tmp_path, text) -> None:
    (tmp_path / results.FILE).write_text(text)
    with pytest.raises(ResultsError, match=results.FILE):
        results.read(tmp_path / results.FILE)


def test_the_short_table_holds_us_against_the_fastest_of_the_same_dtype(tmp_path) -> None:
    rows = [
        Row("sentence-transformers", "float32", rates=(10.0, 12.0, 11.0)),
        Row("slower", "float32", rates=(1.0, 1.0, 1.0)),
        Row("sentence-transformers", "bfloat16", rates=(30.0, 30.0, 30.0)),
        Row("reranker", "float32", rates=(40.0, 36.0, 44.0)),
    ]
    against = [(rows[3].label, row.label) for row in rows[:3]]
    found = WorkloadResult("W1", "pairs/s", rows, against, {"threads": 2, "repeats": 3})
    results.keep(tmp_path / results.FILE, {"w1": found.to_json() | ORIGIN})
    text = markdown.fill("a\n<!-- speed: short -->\nold\n<!-- end -->\nb\n", tmp_path)
    assert text.startswith("a\n<!-- speed: short -->\n| workload |")
    assert text.endswith("<!-- end -->\nb\n")
    (line,) = [line for line in text.splitlines() if line.startswith("| W1")]
    assert "| sentence-transformers | 11 pairs/s |" in line
    assert "**4.00** (3.50 to 4.00)" in line
    assert markdown.fill(text, tmp_path) == text


def test_the_full_table_lists_who_is_not_installed(folder) -> None:
    text = markdown.fill("<!-- speed: full -->\n<!-- end -->", folder)
    assert "| infinity-emb float32 | not installed | see `make speed-peers` |" in text
    assert "| reranker bfloat16 | 40 | 38 to 42 | 700 |" in text


def test_text_without_markers_is_left_alone(folder) -> None:
    assert markdown.fill("<!-- settings: engine -->\n<!-- end -->", folder) == (
        "<!-- settings: engine -->\n<!-- end -->"
    )


def test_the_picture_is_drawn_where_there_is_something_to_draw(folder) -> None:
    plot.write({"workloads": {}}, folder / "none.png")
    assert not (folder / "none.png").exists()
    plot.write(results.read(folder / results.FILE), folder / "speed.png")
    assert (folder / "speed.png").read_bytes().startswith(b"\x89PNG")
