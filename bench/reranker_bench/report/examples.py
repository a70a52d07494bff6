"""The queries on which a method gains and loses most, with what it saw in their documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reranker_bench.evaluation.measures import NDCG_AT_10

if TYPE_CHECKING:
    from reranker_bench.comparison.records import RankRecord
    from reranker_bench.evaluation.outcomes import DatasetOutcome

SHOWN = 3  # queries a side, and documents a ranking
SNIPPET = 320  # characters
_NAMES = {"bi_encoder": "cosine", "cross_encoder": "cross-encoder"}
_INNER = {"fusion", "cosine"}  # `fusion` is the sum itself, `cosine` the bi-encoder's again


@dataclass(frozen=True, slots=True)
class Shown:
    """One document of a shown ranking."""

    document: str
    rank: int
    other_rank: int | None
    grade: int | None
    text: str


@dataclass(frozen=True, slots=True)
class QueryExample:
    """One query as two methods rank it.

    Attributes:
        query: its id.
        text: its words.
        method: the method that gains or loses.
        baseline: what it is held against.
        gain: difference of nDCG@10.
        value: the method's nDCG@10.
        shown: the method's first documents.
        baseline_shown: the baseline's first documents.
        explanation: what moved, and which parts of the method's score differ.
    """

    query: str
    text: str
    method: str
    baseline: str
    gain: float
    value: float
    shown: tuple[Shown, ...]
    baseline_shown: tuple[Shown, ...]
    explanation: str


def extremes(
    outcome: DatasetOutcome, method: str, baseline: str, count: int = SHOWN
) -> list[QueryExample]:
    """Return the queries with the largest gains, then those with the largest losses.

    Queries without a difference, and those that either method failed on, are no examples.
    """
    ours, theirs = outcome.records[method], outcome.records[baseline]
    value, base = (outcome.values[name][NDCG_AT_10] for name in (method, baseline))
    gains = {q: value[q] - base[q] for q in outcome.queries if q in ours and q in theirs}
    ordered = sorted(gains, key=lambda query: -gains[query])
    wins = [query for query in ordered[:count] if gains[query] > 0]
    losses = [query for query in reversed(ordered[-count:]) if gains[query] < 0]
    return [
        QueryExample(
            query=query,
            text=outcome.collection.queries[query],
            method=method,
            baseline=baseline,
            gain=gains[query],
            value=value[query],
            shown=_shown(outcome, query, ours[query], theirs[query]),
            baseline_shown=_shown(outcome, query, theirs[query], ours[query]),
            explanation=explain(outcome.collection.qrels[query], ours[query], theirs[query]),
        )
        for query in [*wins, *losses]
    ]


def explain(grades: Mapping[str, int], ours: RankRecord, theirs: RankRecord) -> str:
    """Say which relevant document moved most, and what the method's score saw in it.

    The document that moved most is that whose reciprocal rank changed most. Its parts of the
    score are held against those of the document that came out on top (of the rival's top, where
    ours is the moved document itself).
    """
    moved = _most_moved([d for d, grade in grades.items() if grade > 0], ours, theirs)
    if moved is None:
        return "The relevant documents keep their ranks; the order of their grades changes."
    now, before = _rank(ours, moved), _rank(theirs, moved)
    sentence = (
        f"The relevant document {moved} stands {_place(now)} with {ours.method}, "
        f"{_place(before)} with {theirs.method}."
    )
    rival = next((d for d in (*ours.documents[:1], *theirs.documents[:1]) if d != moved), None)
    parts = _parts(ours, moved, rival) if rival else ""
    return f"{sentence} {parts}".strip()


def _most_moved(relevant: Sequence[str], ours: RankRecord, theirs: RankRecord) -> str | None:
    moves = {d: abs(_share(_rank(ours, d)) - _share(_rank(theirs, d))) for d in relevant}
    best = max(moves, key=lambda document: moves[document], default=None)
    return best if best is not None and moves[best] > 0 else None


def _parts(record: RankRecord, document: str, rival: str) -> str:
    """Compare the parts of two documents' scores, where both were kept."""
    detail = dict(zip(record.documents, record.details, strict=False))
    if document not in detail or rival not in detail:
        return ""
    names = [name for name in detail[document] if name in detail[rival] and name not in _INNER]
    parts = [
        f"{_NAMES.get(name, name)} {detail[document][name]:.2f} against {detail[rival][name]:.2f}"
        for name in names
    ]
    return f"In {record.method}, next to {rival}: {', '.join(parts)}." if parts else ""


def _shown(
    outcome: DatasetOutcome, query: str, record: RankRecord, other: RankRecord
) -> tuple[Shown, ...]:
    grades = outcome.collection.qrels[query]
    return tuple(
        Shown(
            document=document,
            rank=rank,
            other_rank=_rank(other, document),
            grade=grades.get(document),
            text=snippet(outcome.collection.texts[document]),
        )
        for rank, document in enumerate(record.documents[:SHOWN], start=1)
    )


def snippet(text: str, length: int = SNIPPET) -> str:
    """Return the beginning of a text in one line, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[:length].rpartition(' ')[0]} …"


def _rank(record: RankRecord, document: str) -> int | None:
    return record.documents.index(document) + 1 if document in record.documents else None


def _share(rank: int | None) -> float:
    return 0.0 if rank is None else 1 / rank


def _place(rank: int | None) -> str:
    return "nowhere" if rank is None else f"at rank {rank}"
