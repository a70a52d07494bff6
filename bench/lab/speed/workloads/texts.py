"""The texts of a workload: real pools, cut so that no library truncates them.

Libraries truncate a pair in different ways. Here a document is cut beforehand, at a token's
end, to what fits beside its query; then all read the same tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reranker_bench.data.beir import RetrievalSet, load_beir
from reranker_bench.data.candidate_pools import bm25_pools, spaced
from reranker_bench.data.collections import sample_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

COLLECTION = "cranfield"
_SLACK = 4  # the last word may be read as a token or two more once the rest of it is gone
SEED = 20


@dataclass(frozen=True, slots=True)
class Pool:
    """One query and the documents to rank."""

    query: str
    documents: tuple[str, ...]


def collection(data: Path) -> RetrievalSet:
    """Return the real collection, or the one shipped with the package where it is absent."""
    folder = data / COLLECTION
    return load_beir(folder if folder.is_dir() else sample_folder())


def pools(source: RetrievalSet, queries: int, documents: int) -> list[Pool]:
    """Return pools of the first-stage candidates of queries spaced evenly over the collection."""
    chosen = spaced(source.judged_queries(), queries)
    texts = {query: source.queries[query] for query in chosen}
    found = source.candidates or bm25_pools(source.corpus, texts, documents)
    return [
        Pool(
            single_spaced(texts[q]),
            tuple(single_spaced(source.corpus[d]) for d in found[q][:documents]),
        )
        for q in chosen
        if found.get(q)
    ]


def single_spaced(text: str) -> str:
    """Return a text with single spaces, which some libraries would make of it themselves."""
    return " ".join(text.split())


def truncate_pool(pool: Pool, tokenizer: Tokenizer, max_tokens: int, *, pair: bool) -> Pool:
    """Cut a pool's documents to what a model reads.

    Args:
        pool: the texts.
        tokenizer: the model's, without padding and truncation.
        max_tokens: that the model reads at once, special ones included.
        pair: whether the query is read in the same pass.
    """
    special = tokenizer.num_special_tokens_to_add(pair)
    query = cut(pool.query, tokenizer, max_tokens // 2)
    taken = len(tokenizer.encode(query, add_special_tokens=False).ids) if pair else 0
    room = max(1, max_tokens - special - taken - _SLACK)
    return Pool(query, tuple(cut(text, tokenizer, room) for text in pool.documents))


def cut(text: str, tokenizer: Tokenizer, tokens: int) -> str:
    """Return at most so many tokens of a text."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    if len(encoding.ids) <= tokens:
        return text
    return text[: encoding.offsets[tokens - 1][1]].strip()


def lengths(found: Sequence[Pool], tokenizer: Tokenizer, *, pair: bool) -> list[int]:
    """Return the tokens of each input, special ones included: pairs, or documents alone."""
    sizes = []
    for pool in found:
        for text in pool.documents:
            parts = (pool.query, text) if pair else (text,)
            sizes.append(len(tokenizer.encode(*parts).ids))
    return sizes


def snippets(
    source: RetrievalSet, tokenizer: Tokenizer, count: int, tokens: int, seed: int = SEED
) -> list[str]:
    """Return texts of one size, no two alike: windows of the collection, and a number."""
    chance = random.Random(seed)
    words = [word for text in source.corpus.values() for word in single_spaced(text).split()]
    found = []
    for number in range(count):
        start = chance.randrange(max(1, len(words) - tokens))
        window = " ".join([str(number), *words[start : start + tokens]])
        found.append(cut(window, tokenizer, tokens))
    return found
