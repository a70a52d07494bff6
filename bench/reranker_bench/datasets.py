"""Loading retrieval test collections kept in the BEIR folder layout.

A folder holds ``corpus.jsonl`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``,
``text``), ``qrels/<split>.tsv`` and, optionally, ``candidates.run``: a TREC run that names the
documents to rank for each query.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class DatasetError(ValueError):
    """A collection's folder is incomplete or a line of a file is malformed."""


@dataclass(frozen=True, slots=True)
class RetrievalSet:
    """One collection, read completely.

    Attributes:
        name: The folder's name.
        corpus: Document id to its text (``title text`` where there is a title).
        queries: Query id to its text.
        qrels: Query id to document id to grade; 0 is judged and not relevant.
        candidates: Query id to document ids in the order of the run file; empty without one.
    """

    name: str
    corpus: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    candidates: dict[str, tuple[str, ...]]

    def judged_queries(self) -> tuple[str, ...]:
        """Return the ids of the queries that have at least one relevant document."""
        return tuple(q for q in self.queries if any(g > 0 for g in self.qrels.get(q, {}).values()))


def load(folder: Path, split: str | None = None) -> RetrievalSet:
    """Read a collection.

    Args:
        folder: The collection's folder.
        split: Which file of ``qrels/``; may be left out where there is only one.

    Raises:
        DatasetError: A file is missing or malformed (the message names file and line), or the
            split is ambiguous.
    """
    corpus = {i: _join(row) for i, row in _rows(folder / "corpus.jsonl")}
    queries = {i: str(row["text"]) for i, row in _rows(folder / "queries.jsonl")}
    qrels = _read_qrels(_qrels_path(folder, split))
    run = folder / "candidates.run"
    candidates = _read_run(run) if run.exists() else {}
    for query, documents in candidates.items():
        missing = next((d for d in documents if d not in corpus), None)
        if missing is not None:
            raise DatasetError(f"{run}: query {query!r} names unknown document {missing!r}")
    return RetrievalSet(folder.name, corpus, queries, qrels, candidates)


def _join(row: dict[str, object]) -> str:
    return f"{row.get('title') or ''} {row['text']}".strip()


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\n")
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file") from error


def _rows(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    for number, line in _lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DatasetError(f"{path}:{number}: not JSON ({error.msg})") from error
        if not isinstance(row, dict) or "_id" not in row or not isinstance(row.get("text"), str):
            raise DatasetError(f"{path}:{number}: needs an object with '_id' and a 'text' string")
        yield str(row["_id"]), row


def _qrels_path(folder: Path, split: str | None) -> Path:
    if split is not None:
        return folder / "qrels" / f"{split}.tsv"
    found = sorted((folder / "qrels").glob("*.tsv"))
    if len(found) != 1:
        names = ", ".join(p.stem for p in found) or "none"
        raise DatasetError(f"{folder / 'qrels'}: name one split (found: {names})")
    return found[0]


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        if number == 1 and line.startswith("query-id"):
            continue
        try:
            query, document, grade = line.split("\t")
            qrels.setdefault(query, {})[document] = int(grade)
        except ValueError as error:
            raise DatasetError(
                f"{path}:{number}: needs query, document and an integer grade, tab-separated"
            ) from error
    return qrels


def _read_run(path: Path) -> dict[str, tuple[str, ...]]:
    ranked: dict[str, list[tuple[int, str]]] = {}
    for number, line in _lines(path):
        try:
            query, _, document, rank, _, _ = line.split()
            ranked.setdefault(query, []).append((int(rank), document))
        except ValueError as error:
            raise DatasetError(f"{path}:{number}: not a line of a TREC run") from error
    return {q: tuple(d for _, d in sorted(pairs)) for q, pairs in ranked.items()}
