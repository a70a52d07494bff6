"""A tuning from its options to the profile, for the command line and scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reranker_bench.data.collections import read_collections
from reranker_bench.tuning import selection, threshold

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker_bench.tuning.features import Table
    from reranker_methods.profile import Profile

CACHE = Path(".cache/tune")
NO_CROSS = "none"


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What a user may choose; see `reranker tune --help`."""

    datasets: tuple[str, ...]
    output: Path
    model: str | None = None
    model_cross: str | None = None
    split: str | None = None
    limit: int | None = None
    pool_size: int = 100
    folds: int = selection.FOLDS
    pull: float = selection.PULL
    cache: Path = CACHE
    threshold: threshold.Goal | None = None


@dataclass(frozen=True, slots=True)
class ProfileFit:
    """What a tuning found.

    Attributes:
        verdict: the candidates and the chosen one.
        threshold: where one was asked for and found.
        no_threshold: why none was found.
    """

    verdict: selection.Selection
    threshold: threshold.Found | None = None
    no_threshold: str | None = None


def run_tuning(
    options: TuneOptions, engine: Reranker, observe: Callable[[str], None]
) -> ProfileFit:
    """Fit, choose, and write the profile with its token bank beside it.

    Args:
        options: what to do.
        engine: gives the models and the profile in use.
        observe: is called with what is being done.

    Raises:
        DatasetError: a data set is wrong.
        TuneError: there is too little to fit on.
        RerankerError: a model is unknown or is unavailable, or the profile in use is broken.
    """
    collections = read_collections(
        options.datasets, options.split, options.limit, options.pool_size
    )
    bi = engine.models.bi_encoder(options.model or engine.settings.model)
    cross_id = options.model_cross or engine.settings.model_cross
    alone = cross_id.lower() == NO_CROSS
    cross = None if alone else engine.models.cross_encoder(cross_id)
    current = _in_use(engine, bi.name, cross.name if cross else None)
    tables = selection.tables_of(
        collections, bi, cross, current.token_statistics, options.cache, observe
    )
    verdict = selection.select_fusion(tables, current.fusion, options.folds, options.pull)
    fitted = selection.describe(verdict, tables, options.folds, options.pull)
    found, missing = None, None
    if options.threshold is not None:
        try:
            found = find_threshold(options.threshold, verdict, tables)
            fitted["score_threshold"] = asdict(found)
        except threshold.ThresholdError as error:
            missing = str(error)
    write_profile(options.output, current, bi.name, cross.name if cross else None, verdict, fitted)
    return ProfileFit(verdict, found, missing)


def find_threshold(
    goal: threshold.Goal, verdict: selection.Selection, tables: list[Table]
) -> threshold.Found:
    """Find a threshold on the chosen fusion's scores of queries it was not fitted on."""
    logits, relevant = [], []
    for table, values in zip(tables, verdict.chosen.logits, strict=True):
        logits += np.split(values, table.offsets[1:-1])
        relevant += np.split(table.relevant > 0, table.offsets[1:-1])
    return threshold.find(goal, logits, relevant)


def write_profile(
    path: Path,
    current: Profile,
    bi: str,
    cross: str | None,
    verdict: selection.Selection,
    fitted: dict[str, Any],
) -> None:
    """Write the chosen fusion as a profile, and the token bank beside it.

    Args:
        path: a .json file; the bank gets the same name with .npz.
        current: whose bank is kept.
        bi: the bi-encoder's id.
        cross: the cross-encoder's id, or None.
        verdict: what was chosen.
        fitted: what the profile records of its fitting.
    """
    from reranker_methods.features.token_statistics import save_token_statistics

    path.parent.mkdir(parents=True, exist_ok=True)
    bank = path.with_suffix(".npz")
    save_token_statistics(current.token_statistics, bank)
    fusion = verdict.chosen.fusion
    profile = {
        "bi_encoder": bi,
        "cross_encoder": cross,
        "features": {name: asdict(term) for name, term in fusion.terms.items()},
        "calibration": asdict(fusion.calibration),
        "bank": bank.name,
        "fitted": fitted,
    }
    path.write_text(json.dumps(profile, indent=2) + "\n", encoding="utf-8")


def _in_use(engine: Reranker, bi: str, cross: str | None) -> Profile:
    from reranker_methods.profile import profile_for

    return profile_for(bi, cross, engine.settings.profile)
