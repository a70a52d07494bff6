"""Preparing training material once: passages, queries, hard candidates and teacher vectors.

Everything lands in a folder of its own and is read back from there, so that a resumed or repeated
run starts at once and trains on the same lists.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from transformers import BertModel

from lab.training.base import base_encoder, base_tokenizer
from lab.training.corpus import negatives, recipe
from lab.training.corpus import queries as generators
from lab.training.corpus.passages import TokenTable, tokenize
from lab.training.corpus.queries import Query
from lab.training.corpus.related import found_among, related_queries
from lab.training.corpus.teacher import Floats, write_vectors
from reranker_bench.data.beir import RetrievalSet, load_beir

LogLine = Callable[[str], None]

FORMAT = 2
"""Raise it when preparing changes, so that older material is prepared again."""


@dataclass(frozen=True, slots=True)
class Material:
    """One collection, prepared.

    Attributes:
        name: The collection's name.
        passages: Tokens of the passages.
        vectors: (passage tokens, width) teacher vectors, float16.
        queries: The queries, of all kinds.
        query_tokens: Tokens of the queries.
        query_vectors: (query tokens, width) teacher vectors, float16.
        candidates: Per query, hard candidates best first.
        held_out: Indices of the passages that training must not see.
    """

    name: str
    passages: TokenTable
    vectors: NDArray[np.float16]
    queries: tuple[Query, ...]
    query_tokens: TokenTable
    query_vectors: NDArray[np.float16]
    candidates: tuple[tuple[int, ...], ...]
    held_out: frozenset[int]

    def is_dev(self, query: int) -> bool:
        """Tell whether a query belongs to the held-out split."""
        return any(p in self.held_out for p in self.queries[query].positives)


def prepare(data: Path, folder: Path, seed: int, report: LogLine) -> list[Material]:
    """Return the material of every collection of the recipe, built where the cache lacks it."""
    materials = []
    for collection in recipe.COLLECTIONS:
        target = folder / collection.name
        made_by = json.dumps({"format": FORMAT, "seed": seed, **asdict(collection)})
        done = target / "done"
        if not done.exists() or done.read_text(encoding="utf-8") != made_by:
            target.mkdir(parents=True, exist_ok=True)
            done.unlink(missing_ok=True)
            _build(load_beir(data / collection.name), collection, target, seed, report)
            done.write_text(made_by, encoding="utf-8")
        materials.append(read(target))
    return materials


def read(folder: Path) -> Material:
    """Read one collection's prepared material."""
    rows = json.loads((folder / "queries.json").read_text(encoding="utf-8"))
    lists = ("positives", "judged", "removed", "unsure")
    queries = tuple(
        Query(row["kind"], row["text"], *(tuple(row[name]) for name in lists))
        for row in rows["queries"]
    )
    return Material(
        name=folder.name,
        passages=_read_table(folder / "passages.npz"),
        vectors=np.load(folder / "passages.npy"),
        queries=queries,
        query_tokens=_read_table(folder / "queries.npz"),
        query_vectors=np.load(folder / "queries.npy"),
        candidates=tuple(tuple(c) for c in rows["candidates"]),
        held_out=frozenset(rows["held_out"]),
    )


def _read_table(path: Path) -> TokenTable:
    with np.load(path) as stored:
        return TokenTable(stored["offsets"], stored["tokens"], stored["sentence"])


def _build(
    source: RetrievalSet, plan: recipe.TrainingCollection, folder: Path, seed: int, report: LogLine
) -> None:
    random = Random(f"{seed}:{plan.name}")
    ids = _choose_passages(source, plan.passages, random)
    texts = [source.corpus[i] for i in ids]
    own, chosen = _own_queries(source, ids, plan, random), _chosen(ids)
    queries = own[: plan.queries_of(plan.own_kind, recipe.LISTS)]
    if "related" in plan.shares:
        queries += related_queries(texts, own, chosen, random)
    queries += _generated_queries(texts, _heads(own), plan, random)
    report(f"{plan.name}: {len(texts)} passages, {len(queries)} queries")
    tokenizer, bert = base_tokenizer(), base_encoder()
    pooled = []
    for stem, rows, cut in (
        ("passages", texts, plan.max_tokens),
        ("queries", [q.text for q in queries], recipe.QUERY_TOKENS),
    ):
        table = tokenize(tokenizer, rows, cut)
        np.savez(
            folder / f"{stem}.npz",
            offsets=table.offsets,
            tokens=table.tokens,
            sentence=table.sentence,
        )
        pooled.append(_write_pooled(bert, table, folder / f"{stem}.npy", report))
    found = negatives.interleave(
        negatives.bm25_candidates(texts, [q.text for q in queries], recipe.CANDIDATES),
        negatives.cosine_candidates(pooled[0], pooled[1], recipe.CANDIDATES),
    )
    queries = [found_among(q, row) for q, row in zip(queries, found, strict=True)]
    candidates = [
        [i for i in row if i not in q.positives and i not in q.unsure][: recipe.CANDIDATES]
        for row, q in zip(found, queries, strict=True)
    ]
    held = sorted(_held_out(chosen, queries))
    payload = {"queries": [asdict(q) for q in queries], "candidates": candidates, "held_out": held}
    (folder / "queries.json").write_text(json.dumps(payload), encoding="utf-8")


def _write_pooled(bert: BertModel, table: TokenTable, path: Path, report: LogLine) -> Floats:
    out = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float16, shape=(len(table.tokens), bert.config.hidden_size)
    )

    def progress(done: int) -> None:
        if done % 1024 < 32:
            report(f"{path.parent.name}/{path.stem}: {done} of {len(table)} encoded")

    write_vectors(bert, table, out, progress)
    out.flush()
    sums = [out[table.span(i)].astype(np.float32).mean(axis=0) for i in range(len(table))]
    means = np.stack(sums)
    unit: Floats = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    return unit


def _choose_passages(source: RetrievalSet, limit: int, random: Random) -> list[str]:
    relevant = {d for g in source.qrels.values() for d, grade in g.items() if grade > 0}
    usable = [i for i, text in source.corpus.items() if len(text.split()) >= 5]
    random.shuffle(usable)
    usable.sort(key=lambda i: i not in relevant)
    return usable[:limit]


def _own_queries(
    source: RetrievalSet, ids: Sequence[str], plan: recipe.TrainingCollection, random: Random
) -> list[Query]:
    place = {i: n for n, i in enumerate(ids)}
    found = []
    for query, text in source.queries.items():
        grades = source.qrels.get(query, {})
        positives = tuple(place[d] for d, g in grades.items() if g > 0 and d in place)
        judged = tuple(place[d] for d, g in grades.items() if g <= 0 and d in place)
        if positives:
            found.append(Query(plan.own_kind, text, positives, judged))
    random.shuffle(found)
    return found


def _heads(own: Sequence[Query]) -> dict[int, str]:
    return {q.positives[0]: q.text for q in own if q.kind == "topic"}


def _generated_queries(
    texts: Sequence[str], heads: dict[int, str], plan: recipe.TrainingCollection, random: Random
) -> list[Query]:
    idf = generators.word_idf(texts)
    makers: dict[str, Callable[[int], Query | None]] = {
        "sentence": lambda i: generators.sentence_query(i, texts[i], random),
        "keywords": lambda i: generators.keyword_query(i, texts[i], idf, random),
        "long": lambda i: generators.long_query(i, texts[i], heads.get(i, ""), random),
    }
    queries: list[Query] = []
    for kind, maker in makers.items():
        needed = plan.queries_of(kind, recipe.LISTS)
        order = random.sample(range(len(texts)), len(texts))
        fresh = (maker(i) for i in order) if needed else iter(())
        queries += [q for q, _ in zip((q for q in fresh if q), range(needed), strict=False)]
    return queries


def _chosen(ids: Sequence[str]) -> set[int]:
    """Choose the passages to hold out by a hash of their id."""
    return {n for n, i in enumerate(ids) if zlib.crc32(i.encode()) % 100 < recipe.DEV_PERCENT}


def _held_out(chosen: set[int], queries: Sequence[Query]) -> set[int]:
    """Return the chosen passages and with them the judged pools that they appear in."""
    pools = (q for q in queries if q.judged and chosen.intersection(q.positives))
    return chosen.union(*({*q.positives, *q.judged} for q in pools))
