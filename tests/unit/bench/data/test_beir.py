import json
from pathlib import Path

import pytest

from reranker_bench.data.beir import DatasetError, load_beir


def write(folder: Path, **changes: str) -> Path:
    files = {
        "corpus.jsonl": "\n".join(
            json.dumps(row)
            for row in (
                {"_id": "d1", "title": "Wings", "text": "Lift and drag."},
                {"_id": "d2", "title": "", "text": "Heat."},
            )
        ),
        "queries.jsonl": json.dumps({"_id": "q1", "text": "lift"}) + "\n\n",
        "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n",
        "candidates.run": "q1 Q0 d2 2 0.5 bm25\nq1 Q0 d1 1 1.0 bm25\n",
    }
    for name, text in {**files, **changes}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_reads_a_folder(tmp_path: Path) -> None:
    loaded = load_beir(write(tmp_path / "tiny"))
    assert loaded.name == "tiny"
    assert loaded.corpus == {"d1": "Wings Lift and drag.", "d2": "Heat."}
    assert loaded.queries == {"q1": "lift"}
    assert loaded.qrels == {"q1": {"d1": 2, "d2": 0}}
    assert loaded.candidates == {"q1": ("d1", "d2")}
    assert loaded.judged_queries() == ("q1",)


def test_candidates_are_optional(tmp_path: Path) -> None:
    (write(tmp_path) / "candidates.run").unlink()
    assert load_beir(tmp_path).candidates == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\n{', r"corpus\.jsonl:2: not JSON"),
        ("queries.jsonl", '{"_id": "q1"}', r"queries\.jsonl:1: needs"),
        ("qrels/test.tsv", "q1\td1\tgood\n", r"test\.tsv:1: needs"),
        ("candidates.run", "q1 d1 1\n", r"candidates\.run:1: not a line"),
        ("candidates.run", "q1 Q0 d9 1 1.0 x\n", r"run:1: names unknown document 'd9'"),
        ("candidates.run", "q9 Q0 d1 1 1.0 x\n", r"run:1: names unknown query 'q9'"),
        ("candidates.run", "q1 Q0 d1 1 1 x\nq1 Q0 d1 2 0 x\n", r"run:2: .* 'd1' twice"),
        ("candidates.run", "\n", "no candidate in it"),
        ("corpus.jsonl", '{"_id": "d1", "text": "x"}\n' * 2, r"corpus\.jsonl:2: document 'd1'"),
        ("corpus.jsonl", "", r"corpus\.jsonl: there is no document in it"),
        ("corpus.jsonl", '{"_id": "d 1", "text": "x"}', r"corpus\.jsonl:1: the id 'd 1'"),
        ("queries.jsonl", '{"_id": "q1", "text": " "}', r"queries\.jsonl:1: query 'q1' is blank"),
        ("qrels/test.tsv", "q1\td1\t1\nq1\td9\t1\n", r"test\.tsv:2: names unknown document"),
        ("qrels/test.tsv", "q9\td1\t1\n", r"test\.tsv:1: names unknown query 'q9'"),
        ("qrels/test.tsv", "q1\td1\t1\nq1\td1\t2\n", r"test\.tsv:2: .* twice"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", "no judgement in it"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_beir(write(tmp_path, **{name: text}))


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / "corpus.jsonl").write_bytes(b'{"_id": "d1", "text": "caf\xe9"}')
    with pytest.raises(DatasetError, match=r"corpus\.jsonl:1: not UTF-8 text"):
        load_beir(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        load_beir(tmp_path / "nowhere")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"corpus\.jsonl: no such file"):
        load_beir(tmp_path)


def test_several_splits_need_a_choice(tmp_path: Path) -> None:
    write(tmp_path, **{"qrels/dev.tsv": "q1\td2\t1\n"})
    with pytest.raises(DatasetError, match="name one split"):
        load_beir(tmp_path)
    assert load_beir(tmp_path, "dev").qrels == {"q1": {"d2": 1}}
