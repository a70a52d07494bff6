"""Loading retrieval test collections kept in the BEIR folder layout.

A folder holds ``corpus.jsonl`` (``_id``, ``title``, ``text``), ``queries.jsonl`` (``_id``,
``text``), ``qrels/<split>.tsv`` and, optionally, ``candidates.run``: a TREC run that names the
documents to rank for each query. Whatever is wrong is named by file and line.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from reranker.errors import InvalidRequest

CANDIDATES = "candidates.run"


class DatasetError(InvalidRequest):
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
        pool_name: In words, where the candidates come from.
    """

    name: str
    corpus: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    candidates: dict[str, tuple[str, ...]]
    pool_name: str = CANDIDATES

    def judged_queries(self) -> tuple[str, ...]:
        """Return the ids of the queries that have at least one relevant document."""
        return tuple(q for q in self.queries if any(g > 0 for g in self.qrels.get(q, {}).values()))


def load_beir(folder: Path, split: str | None = None) -> RetrievalSet:
    """Read a collection.

    Args:
        folder: The collection's folder.
        split: Which file of ``qrels/``; may be left out where there is only one.

    Raises:
        DatasetError: A file is missing, empty or malformed, an id is used twice or unknown (the
            message names file and line), or the split is ambiguous.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    corpus = _table(folder / "corpus.jsonl", "document")
    queries = _table(folder / "queries.jsonl", "query")
    qrels = _read_qrels(_qrels_path(folder, split), queries, corpus)
    run = folder / CANDIDATES
    candidates = _read_run(run, queries, corpus) if run.exists() else {}
    return RetrievalSet(folder.resolve().name, corpus, queries, qrels, candidates)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is not blank.

    Raises:
        DatasetError: The file is missing or is not UTF-8 text.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}:{number + 1}: not UTF-8 text") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error


def check_id(name: str, where: str) -> None:
    """Refuse an id that a TREC run, whose columns are parted by spaces, cannot hold.

    Raises:
        DatasetError: With `where` in front.
    """
    if not name or name.split() != [name]:
        raise DatasetError(f"{where}: the id {name!r} is empty or holds a space")


def _table(path: Path, kind: str) -> dict[str, str]:
    """Read id to text of the rows of a JSONL file."""
    table: dict[str, str] = {}
    for number, line in lines(path):
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DatasetError(f"{where}: not JSON ({error.msg})") from error
        if not isinstance(row, dict) or "_id" not in row or not isinstance(row.get("text"), str):
            raise DatasetError(f"{where}: needs an object with '_id' and a 'text' string")
        name = str(row["_id"])
        check_id(name, where)
        if name in table:
            raise DatasetError(f"{where}: {kind} {name!r} is there twice")
        table[name] = f"{row.get('title') or ''} {row['text']}".strip()
        if kind == "query" and not table[name]:
            raise DatasetError(f"{where}: query {name!r} is blank")
    if not table:
        raise DatasetError(f"{path}: there is no {kind} in it")
    return table


def _qrels_path(folder: Path, split: str | None) -> Path:
    if split is not None:
        return folder / "qrels" / f"{split}.tsv"
    found = sorted((folder / "qrels").glob("*.tsv"))
    if len(found) != 1:
        names = ", ".join(p.stem for p in found) or "none"
        raise DatasetError(f"{folder / 'qrels'}: name one split (found: {names})")
    return found[0]


def _read_qrels(
    path: Path, queries: Collection[str], corpus: Collection[str]
) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for number, line in lines(path):
        if number == 1 and line.startswith("query-id"):
            continue
        where = f"{path}:{number}"
        try:
            query, document, score = line.split("\t")
            grade = int(score)
        except ValueError as error:
            raise DatasetError(
                f"{where}: needs query, document and an integer grade, tab-separated"
            ) from error
        _check_known(where, query, document, queries, corpus)
        if document in qrels.setdefault(query, {}):
            raise DatasetError(f"{where}: query {query!r} judges document {document!r} twice")
        qrels[query][document] = grade
    if not qrels:
        raise DatasetError(f"{path}: there is no judgement in it")
    return qrels


def _read_run(
    path: Path, queries: Collection[str], corpus: Collection[str]
) -> dict[str, tuple[str, ...]]:
    ranked: dict[str, dict[str, int]] = {}
    for number, line in lines(path):
        where = f"{path}:{number}"
        try:
            query, _, document, rank, _, _ = line.split()
            place = int(rank)
        except ValueError as error:
            raise DatasetError(f"{where}: not a line of a TREC run") from error
        _check_known(where, query, document, queries, corpus)
        if document in ranked.setdefault(query, {}):
            raise DatasetError(f"{where}: query {query!r} lists document {document!r} twice")
        ranked[query][document] = place
    if not ranked:
        raise DatasetError(f"{path}: there is no candidate in it")
    return {q: tuple(sorted(places, key=places.__getitem__)) for q, places in ranked.items()}


def _check_known(
    where: str, query: str, document: str, queries: Collection[str], corpus: Collection[str]
) -> None:
    if query not in queries:
        raise DatasetError(f"{where}: names unknown query {query!r}")
    if document not in corpus:
        raise DatasetError(f"{where}: names unknown document {document!r}")
