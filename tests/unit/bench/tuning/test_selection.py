"""Fitting on features whose worth is known, because the grades were made from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.fakes import FakeBiEncoder, FakeCrossEncoder, FakeModels

from reranker.engine import Reranker
from reranker.pipeline.fusion import Term, WeightedSum
from reranker.settings import Settings
from reranker_bench.data.beir import DatasetError
from reranker_bench.tuning import folds, selection
from reranker_bench.tuning.experiment import TuneOptions, run_tuning
from reranker_bench.tuning.features import Table
from reranker_bench.tuning.sample import Sample
from reranker_bench.tuning.threshold import Goal

TERMS = ("cosine", "attention", "subspace", "lexical", "cross_encoder")


def table(queries: int, telling: tuple[str, ...], seed: int = 0, pool: int = 8) -> Table:
    """Return a table in which the sum of the telling features says what is relevant."""
    random = np.random.default_rng(seed)
    size = queries * pool
    values = {name: random.normal(size=size) for name in TERMS}
    worth = sum(values[name] for name in telling) + 0.2 * random.normal(size=size)
    rows = np.asarray(worth).reshape(queries, pool)
    relevant = (rows >= np.sort(rows)[:, -2:-1]).astype(float)
    ids = tuple(f"d{at}" for at in range(pool))
    names = [f"q{at}" for at in range(queries)]
    grades = {
        q: {d: int(g) for d, g in zip(ids, row, strict=True)}
        for q, row in zip(names, relevant, strict=True)
    }
    sample = Sample(
        "made",
        dict.fromkeys(names, ""),
        dict.fromkeys(names, ids),
        {},
        grades,
    )
    return Table(sample, values, np.arange(queries + 1) * pool, relevant.ravel())


def fusion(**weights: float) -> WeightedSum:
    return WeightedSum({name: Term(0.0, 1.0, weight) for name, weight in weights.items()})


def test_all_terms_are_adopted_where_all_are_needed() -> None:
    made = table(60, TERMS)
    verdict = selection.select_fusion([made], fusion(cosine=1.0))
    assert verdict.chosen.name == " + ".join(TERMS)
    assert verdict.differences[verdict.chosen.name, selection.CURRENT].low > 0
    assert min(term.weight for term in verdict.chosen.fusion.terms.values()) > 0.1


def test_a_rival_is_adopted_where_the_other_terms_earn_nothing() -> None:
    verdict = selection.select_fusion([table(60, ("cosine", "cross_encoder"))], fusion(cosine=1.0))
    assert verdict.chosen.name == "cosine + cross_encoder"


def test_the_profile_in_use_stays_where_nothing_beats_it() -> None:
    current = fusion(cosine=0.5, cross_encoder=0.5)
    verdict = selection.select_fusion([table(60, ("cosine", "cross_encoder"))], current)
    assert verdict.chosen.name == selection.CURRENT
    assert verdict.calibrated
    assert verdict.chosen.fusion.terms == current.terms
    assert verdict.chosen.fusion.calibration != current.calibration


def test_noise_is_rarely_adopted() -> None:
    adopted = 0
    for seed in range(6):
        random = np.random.default_rng(100 + seed)
        made = table(40, ("cosine",), seed)
        noise = {name: random.normal(size=320) for name in TERMS}
        made = Table(made.sample, noise, made.offsets, made.relevant)
        adopted += (
            selection.select_fusion([made], fusion(cosine=1.0)).chosen.name != selection.CURRENT
        )
    assert adopted <= 1


def test_no_query_is_judged_by_weights_that_saw_it() -> None:
    made = table(10, ("cosine",))
    seen: list[list[str]] = []

    def fit(parts: list[Table]) -> WeightedSum:
        seen.append([name for part in parts for name in part.sample.queries])
        return fusion(cosine=float(len(seen)))

    logits = folds.out_of_fold([made], 5, fit)
    for at in range(10):
        judged = at % 5
        assert f"q{at}" not in seen[judged]
        own = slice(at * 8, at * 8 + 8)
        assert logits[0][own] == pytest.approx(made.values["cosine"][own] * (judged + 1))


def test_a_selection_keeps_pairs_with_their_query() -> None:
    made = table(4, ("cosine",), pool=3)
    part = made.only(list(made.sample.queries)[1:4:2])
    assert list(part.sample.queries) == ["q1", "q3"]
    assert part.values["cosine"].tolist() == made.values["cosine"][[3, 4, 5, 9, 10, 11]].tolist()
    assert part.offsets.tolist() == [0, 3, 6]


def test_too_few_queries_are_refused() -> None:
    with pytest.raises(selection.TuneError, match="9 queries are too few for 5 folds"):
        selection.select_fusion([table(9, ("cosine",))], fusion(cosine=1.0))


@dataclass
class Bi(FakeBiEncoder):
    digest: str = "bi"


@dataclass
class Cross(FakeCrossEncoder):
    digest: str = "cross"


def options(folder: Path, **changes: object) -> TuneOptions:
    rows = [
        {
            "query": f"word{at} ferry",
            "documents": [f"word{at} sails", "no ferry", f"apple {at}"],
            "relevant": [0],
        }
        for at in range(10)
    ]
    path = folder / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    values = {
        "datasets": (str(path),),
        "output": folder / "out" / "profile.json",
        "cache": folder / "cache",
        "folds": 2,
    }
    return TuneOptions(**{**values, **changes})  # type: ignore[arg-type]


def test_a_tuning_writes_a_profile_that_the_engine_takes(tmp_path: Path) -> None:
    bi, cross = Bi(), Cross()
    engine = Reranker(Settings(), models=FakeModels(bi, cross))
    chosen = options(tmp_path, threshold=Goal("recall", 0.5))
    result = run_tuning(chosen, engine, lambda line: None)
    profile = json.loads(chosen.output.read_text("utf-8"))
    assert profile["bi_encoder"] == "fake-bi"
    assert profile["cross_encoder"] == "fake-cross"
    assert profile["fitted"]["queries"] == {"mine": 10}
    assert profile["fitted"]["score_threshold"]["recall"] >= 0.5
    assert (tmp_path / "out" / profile["bank"]).exists()
    calls = len(cross.calls)
    run_tuning(chosen, engine, lambda line: None)
    assert len(cross.calls) == calls, "features are read from the cache"
    own = Reranker(Settings(profile=str(chosen.output)), models=FakeModels(bi, cross))
    assert own.rank("word1", ["word1 sails", "no"], method="best", model_cross="x")[0].index == 0
    assert result.verdict.chosen.name in profile["fitted"]["chosen"]


def test_data_without_a_relevant_candidate_is_refused(tmp_path: Path) -> None:
    engine = Reranker(Settings(), models=FakeModels(Bi(), Cross()))
    with pytest.raises(DatasetError, match="no such folder or file"):
        run_tuning(options(tmp_path, datasets=("nowhere",)), engine, lambda line: None)
