import io
import json
from pathlib import Path

import pytest

from reranker_bench.data.beir import DatasetError
from reranker_bench.data.json_lines import load_listed

GOOD = {"query": "lift", "documents": ["wings", {"text": "heat", "id": 7}], "relevant": [0]}


def write(folder: Path, *rows: object) -> str:
    path = folder / "mine.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), "utf-8")
    return str(path)


def test_reads_positions_and_grades(tmp_path: Path) -> None:
    graded = {"id": "x", "query": "drag", "documents": ["a", "b"], "relevant": {"1": 2, "0": 0}}
    found = load_listed(write(tmp_path, GOOD, "", graded))
    assert found.name == "mine"
    assert found.queries == {"1": "lift", "x": "drag"}
    assert found.corpus == {"1.0": "wings", "1.1": "heat", "x.0": "a", "x.1": "b"}
    assert found.qrels == {"1": {"1.0": 1}, "x": {"x.1": 2, "x.0": 0}}
    assert found.candidates == {"1": ("1.0", "1.1"), "x": ("x.0", "x.1")}


def test_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(GOOD) + "\n"))
    assert load_listed("-").name == "stdin"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r"mine\.jsonl:2: not JSON"),
        ("[]", r":2: needs 'query'"),
        ({**GOOD, "query": " "}, r":2: needs 'query'"),
        ({**GOOD, "documents": "text"}, r":2: needs 'query'"),
        ({**GOOD, "documents": []}, r":2: 'documents' is empty"),
        ({**GOOD, "documents": [1]}, r":2: a document must be a string or an object"),
        ({**GOOD, "documents": [{"body": "x"}]}, r":2: a document has none of the fields"),
        ({**GOOD, "relevant": 1}, r":2: needs 'query'"),
        ({**GOOD, "relevant": [2]}, r":2: 'relevant' names document 2, but there are 2"),
        ({**GOOD, "relevant": {"-1": 1}}, r":2: 'relevant' names document -1"),
        ({**GOOD, "relevant": {"0": 0.5}}, r":2: the grade of document 0 is not an integer"),
        ({**GOOD, "id": "1"}, r":2: query '1' is there twice"),
        ({**GOOD, "id": "a b"}, r":2: the id 'a b' is empty or holds a space"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_listed(write(tmp_path, GOOD, row))


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no query in it"):
        load_listed(write(tmp_path, ""))
