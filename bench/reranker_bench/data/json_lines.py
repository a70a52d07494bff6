"""The plain form of labelled queries: one query a line with its own documents.

    {"query": "...", "documents": ["...", "..."], "relevant": [0, 3]}
    {"id": "q7", "query": "...", "documents": [{"text": "..."}], "relevant": {"0": 2}}

`relevant` lists the positions (from 0) of relevant documents, or maps positions to grades.
Read from a file or, for the name ``-``, from standard input.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reranker.errors import InvalidRequest
from reranker.types import Document
from reranker_bench.data.beir import DatasetError, RetrievalSet, check_id, lines

STDIN = "-"
_NEEDS = "needs 'query', a list 'documents' and 'relevant' (positions, or position to grade)"


def load_listed(source: str) -> RetrievalSet:
    """Read labelled queries.

    Args:
        source: A file, or ``-`` for standard input.

    Raises:
        DatasetError: The file is missing or empty, or a line is malformed (the message names
            file and line).
    """
    name, read = (
        ("stdin", _stdin()) if source == STDIN else (Path(source).stem, lines(Path(source)))
    )
    label = "<stdin>" if source == STDIN else source
    found = RetrievalSet(name, {}, {}, {}, {}, "the documents of each line")
    for number, line in read:
        _add(found, f"{label}:{number}", number, line)
    if not found.queries:
        raise DatasetError(f"{label}: there is no query in it")
    return found


def _stdin() -> Iterator[tuple[int, str]]:
    for number, line in enumerate(sys.stdin, start=1):
        if line.strip():
            yield number, line


def _add(found: RetrievalSet, where: str, number: int, line: str) -> None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{where}: not JSON ({error.msg})") from error
    if not isinstance(row, dict):
        raise DatasetError(f"{where}: {_NEEDS}")
    text, documents = row.get("query"), row.get("documents")
    if not isinstance(text, str) or not text.strip() or not isinstance(documents, list):
        raise DatasetError(f"{where}: {_NEEDS}")
    if not documents:
        raise DatasetError(f"{where}: 'documents' is empty")
    query = str(row.get("id", number))
    check_id(query, where)
    if query in found.queries:
        raise DatasetError(f"{where}: query {query!r} is there twice")
    ids = tuple(f"{query}.{position}" for position in range(len(documents)))
    grades = _grades(where, row.get("relevant"), len(documents))
    found.queries[query] = text
    found.corpus.update(zip(ids, (_text(where, value) for value in documents), strict=True))
    found.qrels[query] = {ids[position]: grade for position, grade in grades.items()}
    found.candidates[query] = ids


def _text(where: str, value: Any) -> str:
    try:
        return Document.of(value).text
    except InvalidRequest as error:
        raise DatasetError(f"{where}: {error.message}") from error


def _grades(where: str, relevant: object, size: int) -> dict[int, int]:
    if isinstance(relevant, list):
        relevant = dict.fromkeys(map(str, relevant), 1)
    if not isinstance(relevant, dict):
        raise DatasetError(f"{where}: {_NEEDS}")
    grades: dict[int, int] = {}
    for position, grade in relevant.items():
        if not position.isdecimal() or int(position) >= size:
            raise DatasetError(
                f"{where}: 'relevant' names document {position}, but there are {size}, from 0 on"
            )
        if isinstance(grade, bool) or not isinstance(grade, int):
            raise DatasetError(f"{where}: the grade of document {position} is not an integer")
        grades[int(position)] = grade
    return grades
