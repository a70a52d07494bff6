"""Queries and candidate documents that the measuring scripts share, from folders in BEIR layout."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path("../shared/data")
SETS = ("cranfield", "cisi", "medquad", "covidqa", "wikiqa-test", "tldr")


@dataclass(frozen=True, slots=True)
class Pool:
    """One query and the documents to rank for it, in the order of the collection's run file."""

    query_id: str
    query: str
    documents: tuple[str, ...]


def sample_folder() -> Path:
    """Return the folder of the sample collection that ships with the benchmark package."""
    spec = importlib.util.find_spec("reranker_bench")
    roots = list(spec.submodule_search_locations or ()) if spec is not None else []
    for root in roots:
        for corpus in sorted(Path(root).rglob("sample/corpus.jsonl")):
            return corpus.parent
    raise SystemExit("no sample collection in the package reranker_bench; name its folder")


def read_pools(folder: Path, queries: int, depth: int) -> list[Pool]:
    """Return the first queries of a collection, each with the first documents of its pool.

    Where there is no `candidates.run`, a pool has the judged documents of its query and then
    others in the order of the corpus, from a place that moves on with each query.
    """
    corpus = {
        record["_id"]: " ".join(filter(None, (record.get("title"), record["text"])))
        for record in _records(folder / "corpus.jsonl")
    }
    texts = {record["_id"]: record["text"] for record in _records(folder / "queries.jsonl")}
    run = folder / "candidates.run"
    pools = _from_run(run, queries) if run.exists() else _from_qrels(folder, texts, corpus, queries)
    return [
        Pool(query, texts[query], tuple(corpus[document] for document in documents[:depth]))
        for query, documents in pools.items()
    ]


def _records(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def _from_run(path: Path, queries: int) -> dict[str, list[str]]:
    pools: dict[str, list[str]] = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            query, _, document, *_ = line.split()
            if query not in pools and len(pools) == queries:
                break
            pools.setdefault(query, []).append(document)
    return pools


def _from_qrels(
    folder: Path, texts: Iterable[str], corpus: Iterable[str], queries: int
) -> dict[str, list[str]]:
    judged: dict[str, list[str]] = {}
    for path in sorted((folder / "qrels").glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            query, document, *_ = line.split("\t")
            judged.setdefault(query, []).append(document)
    every, pools = list(corpus), {}
    for number, query in enumerate(list(texts)[:queries]):
        start = 7 * number % len(every)
        others = [*every[start:], *every[:start]]
        pools[query] = list(dict.fromkeys([*judged.get(query, []), *others]))
    return pools


def digest_of(pools: Sequence[Pool]) -> str:
    """Return a digest of all texts, by which two readings of a collection can be told apart."""
    digest = hashlib.sha256()
    for pool in pools:
        for text in (pool.query, *pool.documents):
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:16]


def odd_pools() -> list[Pool]:
    """Return texts that callers send now and then, and that code forgets."""
    longest = "The pump stands beside the tank and must be drained before the frost. " * 15_000
    documents = (
        "",
        " \t\n",
        "\u200b\x00",
        "The pump must be drained before the frost.",
        "The pump must be drained before the frost.",
        "🚲🔋 the bicycle's battery 👩‍🔧👨‍👩‍👧‍👦",
        "🙂",
        "המשאבה עומדת ליד המיכל",
        "يجب تفريغ المضخة قبل الصقيع",
        "水泵必须在霜冻前排空。",
        longest[: 1 << 20],
        "lone \ud800 surrogate \udfff here",
        "a",
        "x" * 5000,
        "e\u0301le\u0301gant, É, ﬁ, ½, №",
        "<b>pump</b> & [MASK] [SEP] {json: null}",
        "...!?;--",
    )
    queries = {
        "plain": "when is the pump to be drained?",
        "emoji": "🚲🔋",
        "rtl": "متى يجب تفريغ المضخة",
        "long": "the pump, the tank, the frost and the battery of the bicycle " * 200,
        "surrogate": "pump \udc00 frost",
        "letter": "a",
    }
    return [Pool(name, query, documents) for name, query in queries.items()]


def collections(sample: Path, data: Path, queries: int, depth: int) -> dict[str, list[Pool]]:
    """Return the pools by collection: the sample's, odd texts, and of `SETS` what there is."""
    found = {"sample": read_pools(sample, 24, 20), "odd": odd_pools()}
    for name in SETS:
        if (data / name).is_dir():
            found[name] = read_pools(data / name, queries, depth)
    return found
