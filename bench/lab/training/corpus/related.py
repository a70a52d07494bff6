"""Passages on the same subject: found by the words that their own topic queries share.

A title's only relevant passage is the one it heads, so titles alone teach that every other passage
on the subject is wrong, which is not what a reader of abstracts means by relevant. Indexing terms
weigh more: passages that share many of their rarer ones are on the same subject.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from lab.training.corpus.queries import WORD, Query, long_query, word_idf

CLOSE, FAR = 0.3, 0.1
"""Similarity of terms from which two passages are related, and up to which they are not."""


def similarity_of_terms(topics: Sequence[str]) -> NDArray[np.float32]:
    """Return (n, n) the share of idf that two passages' terms have in common; 0 with itself.

    Args:
        topics: Per passage, its own topic queries together; empty where it has none.
    """
    shared = word_idf(topics)
    vocabulary = {word: place for place, word in enumerate(shared)}
    words = [{w.lower() for w in WORD.findall(t)} for t in topics]
    rare = max(shared.values(), default=1.0) + np.log(2)
    totals = np.array([sum(shared.get(w, rare) for w in row) for row in words])
    rows = [[vocabulary[w] for w in row if w in vocabulary] for row in words]
    weights = np.sqrt(np.array(list(shared.values()), dtype=np.float32))
    places = np.concatenate([np.array(sorted(r), dtype=np.int64) for r in rows])
    ends = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    table = csr_array((weights[places], places, ends), shape=(len(rows), len(vocabulary)))
    scale = 1 / np.sqrt(np.maximum(totals, 1e-9))
    found = (table @ table.T).toarray() * scale[:, None] * scale[None, :]
    np.fill_diagonal(found, 0.0)
    return np.asarray(found, dtype=np.float32)


def related_queries(
    texts: Sequence[str], own: Sequence[Query], skipped: set[int], random: Random
) -> list[Query]:
    """Return queries from one passage, its terms or several of its sentences, that ask for others.

    Unsure are the passage itself, those that are neither clearly related nor clearly not, and
    those without terms, of which nothing is known.

    Args:
        texts: The passages.
        own: All of the collection's own queries, each with the passages it heads.
        skipped: Passages that no query may come from.
        random: Source of choices.
    """
    heads: list[list[str]] = [[] for _ in texts]
    for query in own:
        for passage in query.positives:
            heads[passage].append(query.text)
    near = similarity_of_terms([" ".join(h) for h in heads])
    known = np.array([bool(h) for h in heads])
    found_queries = []
    for source in random.sample(range(len(texts)), len(texts)):
        related = tuple(int(i) for i in np.flatnonzero(near[source] >= CLOSE))
        if not related or source in skipped:
            continue
        unsure = ((near[source] > FAR) & (near[source] < CLOSE)) | ~known
        unsure[source] = True
        long = long_query(source, texts[source], "", random)
        # As often the sentences as the terms: a reader may start from either.
        asked = [*heads[source], *([long.text] * len(heads[source]) if long else [])]
        text = random.choice(asked)
        others = tuple(int(i) for i in np.flatnonzero(unsure))
        found_queries.append(Query("related", text, related, unsure=others))
    return found_queries


def found_among(query: Query, candidates: Sequence[int]) -> Query:
    """Return a query for related passages with those that its candidates hold, maybe none.

    Were others kept, every one of them would stand below the candidates that are its negatives, and
    a list would teach that similar means wrong. Neither relevant nor negatives, they are unsure.
    """
    if query.kind != "related":
        return query
    kept = tuple(p for p in query.positives if p in candidates)
    dropped = tuple(p for p in query.positives if p not in candidates)
    return replace(query, positives=kept, unsure=(*query.unsure, *dropped))
