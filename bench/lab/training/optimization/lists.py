"""Drawing training lists: a query, one relevant document and hard negatives, with soft targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lab.training.corpus import recipe, teacher
from lab.training.corpus.passages import Ints
from lab.training.corpus.prepare import Material
from lab.training.corpus.queries import Query
from lab.training.corpus.teacher import Floats

NEGATIVES = 7
WINDOWS = ((56, 0.3), (112, 0.4), (176, 0.3))
"""Where documents are cut, in tokens, and how often: short ones teach more pairs a second."""

COSINE = (0.38, 0.21)
ATTENTION = (0.39, 0.19)
"""Mean and deviation of the teacher's two scores over training pairs; only their scale matters."""


@dataclass(frozen=True, slots=True)
class Example:
    """One (query, document) pair with what the teacher says about it.

    Attributes:
        document: (m,) token ids after removal and cutting.
        soft: The teacher's score, standardised.
    """

    document: Ints
    soft: float


@dataclass(frozen=True, slots=True)
class TrainingList:
    """A query's tokens and its documents, the relevant one first."""

    kind: str
    query: Ints
    examples: tuple[Example, ...]


class ListSource:
    """Draws lists from prepared material; the same seed and step give the same lists."""

    def __init__(self, materials: Sequence[Material], idf: Floats, seed: int) -> None:
        self._materials = materials
        self._idf = idf
        self._seed = seed
        self._order = _schedule(materials, seed)

    def draw(self, step: int, lists: int) -> list[TrainingList]:
        """Return the lists of one step."""
        random = np.random.default_rng([self._seed, step])
        sizes, odds = zip(*WINDOWS, strict=True)
        window = int(random.choice(sizes, p=odds))
        places = (np.arange(lists) + step * lists) % len(self._order)
        return [
            self._build(self._materials[m], int(q), window, random) for m, q in self._order[places]
        ]

    def dev_list(self, material: Material, query: int, documents: int) -> TrainingList:
        """Return a held-out query with its relevant document and its hardest candidates."""
        random = np.random.default_rng([self._seed, query])
        source = material.queries[query]
        held = [p for p in source.positives if p in material.held_out]
        known = {*source.positives, *source.unsure}
        order = [c for c in (*source.judged, *material.candidates[query]) if c not in known]
        chosen = [held[int(random.integers(len(held)))], *order[: documents - 1]]
        return self._list(
            material, query, [self.example(material, query, p, 128, False) for p in chosen]
        )

    def _build(
        self, material: Material, query: int, window: int, random: Generator
    ) -> TrainingList:
        source, best = material.queries[query], bool(random.random() < 0.5)
        positive = source.positives[int(random.integers(len(source.positives)))]
        first = self.example(material, query, positive, window, best)
        kept, spare = [first], list[Example]()
        limit = first.soft + (0.5 if source.kind == "question" else 0.0)
        for passage in _negatives(material, query, random):
            example = self.example(material, query, passage, window, best)
            judged = passage in source.judged
            (kept if judged or example.soft <= limit else spare).append(example)
            if len(kept) > NEGATIVES:
                break
        # Too few certain negatives: take the least similar of the doubtful ones.
        spare.sort(key=lambda e: e.soft)
        kept += spare[: NEGATIVES + 1 - len(kept)]
        return self._list(material, query, kept)

    def _list(self, material: Material, query: int, examples: Sequence[Example]) -> TrainingList:
        own = material.query_tokens.span(query)
        kind = material.queries[query].kind
        return TrainingList(kind, material.query_tokens.tokens[own], tuple(examples))

    def example(
        self, material: Material, query: int, passage: int, window: int, best: bool
    ) -> Example:
        """Score one pair, with the document cut at its head or where the query matches best."""
        own = material.query_tokens.span(query)
        vectors = material.query_vectors[own].astype(np.float32)
        weights = self._idf[material.query_tokens.tokens[own]]
        keep = _kept_tokens(material, material.queries[query], passage)
        document = material.vectors[keep].astype(np.float32)
        marks = material.passages.sentence[keep]
        if len(keep) > window and best:
            match = teacher.score(vectors, document, weights).document_match
            start = _best_start(match, marks, window)
        else:
            start = 0
        chosen = slice(start, start + window)
        scored = teacher.score(vectors, document[chosen], weights)
        soft = 0.5 * (scored.cosine - COSINE[0]) / COSINE[1]
        soft += 0.5 * (scored.attention - ATTENTION[0]) / ATTENTION[1]
        return Example(material.passages.tokens[keep][chosen], soft)


def _kept_tokens(material: Material, query: Query, passage: int) -> NDArray[np.int64]:
    span = material.passages.span(passage)
    places = np.arange(span.start, span.stop)
    if not query.removed or passage not in query.positives:
        return places
    kept = places[~np.isin(material.passages.sentence[span], query.removed)]
    return kept if len(kept) >= 8 else places


def _best_start(match: Floats, marks: Ints, window: int) -> int:
    """Return the beginning of a sentence from which a window holds the most matched tokens."""
    total = np.concatenate([[0.0], np.cumsum(match)])
    starts = np.flatnonzero(np.diff(marks, prepend=-1))
    starts = np.minimum(starts, len(match) - window)
    return int(starts[np.argmax(total[starts + window] - total[starts])])


def _negatives(material: Material, query: int, random: Generator) -> list[int]:
    source = material.queries[query]
    shut = material.held_out.union(source.positives, source.unsure)
    judged = [int(j) for j in random.permutation(source.judged) if int(j) not in shut][:4]
    hard = [c for c in material.candidates[query] if c not in shut]
    top, rest = random.permutation(hard[:6])[:4], random.permutation(hard[6:])[:4]
    # Of a query that may be about many passages few are left, so all are gone through.
    anywhere = (int(i) for i in random.permutation(len(material.passages)))
    far = list(islice((i for i in anywhere if i not in shut), 8))
    mixed = [int(i) for pair in zip(top, rest, strict=False) for i in pair]
    # One document in a list is far from the query, so that plain irrelevance is learnt too.
    order = [*judged, *mixed[:4], *far[:1], *mixed[4:], *far[1:]]
    return [i for i in dict.fromkeys(order) if i not in shut]


def _schedule(materials: Sequence[Material], seed: int) -> NDArray[np.int32]:
    """Return (lists, 2) pairs of material and query: each kind at its share, in random order."""
    random = np.random.default_rng(seed)
    plans = {c.name: c for c in recipe.COLLECTIONS}
    rows = []
    for place, material in enumerate(materials):
        for kind in plans[material.name].shares:
            usable = [
                q
                for q, source in enumerate(material.queries)
                if source.kind == kind and source.positives and not material.is_dev(q)
            ]
            needed = plans[material.name].queries_of(kind, recipe.LISTS)
            passes = -(-needed // max(1, len(usable)))
            drawn = np.concatenate([random.permutation(usable) for _ in range(passes)])[:needed]
            rows.append(np.stack([np.full(len(drawn), place), drawn], axis=1))
    joined = np.concatenate(rows).astype(np.int32)
    return joined[random.permutation(len(joined))]
