"""Fitting `best` to a user's own data, and keeping it only where it is measurably better.

Features are computed once for every pair and kept on disk. Weights and calibration are fitted
on all folds of queries but one and judged on that one, in turn, so that every query is judged
by weights that never saw it. Three kinds of fusion compete: the profile in use, the two-term
rivals (cosine + attention, cosine + cross-encoder), and all terms together. More terms are
adopted only where the bootstrap interval of their gain lies above 0, over the profile in use
and over every simpler fusion; else what is simpler stays. The interval is that of 95 % for all
looks together, as every further candidate is one more chance to be lucky.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from reranker.errors import InvalidRequest
from reranker_bench.evaluation import significance
from reranker_bench.tuning import features, folds, weights
from reranker_bench.tuning.folds import PerPair
from reranker_bench.tuning.sample import Sample

if TYPE_CHECKING:
    from pathlib import Path

    from reranker.families.roles import BiEncoder, CrossEncoder
    from reranker.pipeline.fusion import WeightedSum
    from reranker_bench.data.candidate_pools import Dataset
    from reranker_bench.tuning.features import Table
    from reranker_methods.features.token_statistics import TokenStatistics

CURRENT = "the profile in use"
ALONE = ("cosine", "attention", "subspace", "lexical")
CROSS = "cross_encoder"
FOLDS = 5
PULL = 0.1


class TuneError(InvalidRequest):
    """There is too little to fit on."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to fuse, judged on queries that it was not fitted on.

    Attributes:
        name: for people.
        fusion: fitted on all queries; the profile's own for the one in use.
        logits: for each table the calibrated log-odds of each pair, out of fold.
        gains: for each table (q,) nDCG@10, out of fold.
    """

    name: str
    fusion: WeightedSum
    logits: PerPair
    gains: PerPair

    @property
    def mean(self) -> float:
        """nDCG@10, each data set counting alike."""
        return float(np.mean([values.mean() for values in self.gains]))


@dataclass(frozen=True, slots=True)
class Selection:
    """The candidates and which of them is chosen.

    Attributes:
        candidates: the profile in use, the rivals, and all terms, in this order, without those
            that could not be fitted because their scores do not rise with relevance.
        chosen: the one to use.
        differences: (name, name of what it was held against) -> difference of nDCG@10.
        calibrated: whether `chosen` is the profile in use with a new calibration.
    """

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    differences: dict[tuple[str, str], significance.Difference]
    calibrated: bool


def tables_of(
    collections: Sequence[Dataset],
    bi: BiEncoder,
    cross: CrossEncoder | None,
    bank: TokenStatistics,
    cache: Path,
    observe: Callable[[str], None],
) -> list[Table]:
    """Compute every feature of every pair, or read it from the cache.

    Queries without a relevant candidate cannot be fitted on and are left out.

    Raises:
        TuneError: no query is left in a data set.
    """
    tables = []
    for collection in collections:
        sample = _sample(collection)
        pairs = sum(map(len, sample.pools.values()))
        observe(f"{collection.name}: {len(sample.queries)} queries, {pairs} pairs")
        folder = cache / collection.digest[:16]
        values = features.bi_features(sample, bi, bank, folder)
        if cross is not None:
            values = values | features.cross_features(sample, cross, folder)
        tables.append(features.tabulate(sample, values))
    return tables


def select_fusion(
    tables: Sequence[Table],
    current: WeightedSum,
    count: int = FOLDS,
    pull: float = PULL,
) -> Selection:
    """Fit all candidates and choose.

    Args:
        tables: features and grades.
        current: the fusion in use.
        count: folds of the queries of each data set.
        pull: towards equal weights; see `weights.fit`.

    Raises:
        TuneError: there are fewer queries than two a fold.
    """
    queries = sum(len(table.sample.queries) for table in tables)
    if queries < 2 * count:
        raise TuneError(
            f"{queries} queries are too few for {count} folds; have at least {2 * count}"
        )
    known = (*ALONE, CROSS) if CROSS in tables[0].values else ALONE
    terms = tuple(name for name in known if any(_varies(table, name) for table in tables))
    rivals = [("cosine", "attention")] + ([("cosine", CROSS)] if CROSS in known else [])
    kept = [current.logits(table.values) for table in tables]
    candidates = [Candidate(CURRENT, current, kept, folds.ndcg_by_query(tables, kept))]
    for names in (*rivals, terms):
        try:
            candidates.append(_candidate(tables, names, count, pull))
        except ValueError:  # its scores do not rise with relevance: no candidate
            continue
    differences = {
        (one.name, other.name): _difference(one, other, len(rivals) + 1)
        for at, one in enumerate(candidates)
        for other in candidates[:at]
    }
    chosen, recalibrated = _choose(candidates, differences, " + ".join(terms)), None
    if chosen.name == CURRENT:
        recalibrated = _recalibrated(tables, chosen, count)
    chosen = recalibrated or chosen
    return Selection(tuple(candidates), chosen, differences, recalibrated is not None)


def describe(
    selection: Selection, tables: Sequence[Table], count: int, pull: float
) -> dict[str, Any]:
    """Return what a profile records of its fitting, as JSON values."""
    return {
        "queries": {table.sample.name: len(table.sample.queries) for table in tables},
        "folds": count,
        "pull": pull,
        "chosen": selection.chosen.name,
        "nDCG@10 out of fold": {each.name: round(each.mean, 4) for each in selection.candidates},
    }


def _sample(collection: Dataset) -> Sample:
    usable = [
        query
        for query, pool in collection.pools.items()
        if any(collection.qrels[query].get(document, 0) > 0 for document in pool)
    ]
    if not usable:
        raise TuneError(f"{collection.name}: no query has a relevant document among its candidates")
    return Sample(
        name=collection.name,
        queries={query: collection.queries[query] for query in usable},
        pools={query: collection.pools[query] for query in usable},
        texts={d: collection.texts[d] for query in usable for d in collection.pools[query]},
        grades={query: dict(collection.qrels[query]) for query in usable},
    )


def _varies(table: Table, name: str) -> bool:
    """Return whether a feature differs between any two pairs; a constant has no scale."""
    return bool(np.ptp(table.values[name]) > 0)


def _candidate(tables: Sequence[Table], names: Sequence[str], count: int, pull: float) -> Candidate:
    fit = partial(weights.fit, names=names, pull=pull)
    logits = folds.out_of_fold(tables, count, fit)
    return Candidate(" + ".join(names), fit(tables), logits, folds.ndcg_by_query(tables, logits))


def _difference(one: Candidate, other: Candidate, looks: int) -> significance.Difference:
    """Compare two candidates, the interval widened for the number of looks (Bonferroni)."""
    pairs = zip(one.gains, other.gains, strict=True)
    level = 1 - (1 - significance.LEVEL) / looks
    return significance.paired_difference([ours - theirs for ours, theirs in pairs], level=level)


def _choose(
    candidates: Sequence[Candidate],
    differences: dict[tuple[str, str], significance.Difference],
    richest: str,
) -> Candidate:
    """Return all terms, else the best rival that beats the profile in use, else that profile."""
    current, *others = candidates
    better = [each for each in others if differences[each.name, current.name].low > 0]
    simpler = [each for each in candidates if each.name != richest]
    for each in better:
        if each.name == richest and all(differences[richest, s.name].low > 0 for s in simpler):
            return each
    rivals = [each for each in better if each.name != richest]
    return max(rivals, key=lambda each: each.mean, default=current)


def _recalibrated(tables: Sequence[Table], kept: Candidate, count: int) -> Candidate | None:
    """Return the profile in use with a new calibration, if that fits unseen queries better."""
    terms = dict(kept.fusion.terms)
    try:
        logits = folds.out_of_fold(tables, count, lambda part: weights.calibrate(part, terms))
        recalibrated = weights.calibrate(tables, terms)
    except ValueError:  # one class only, or scores that fall with relevance
        return None
    pairs = zip(
        folds.cross_entropy_by_query(tables, kept.logits),
        folds.cross_entropy_by_query(tables, logits),
        strict=True,
    )
    if significance.bootstrap_interval([old - new for old, new in pairs])[0] <= 0:
        return None
    return Candidate(kept.name, recalibrated, logits, kept.gains)
