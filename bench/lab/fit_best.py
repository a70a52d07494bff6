"""Fit the profile of `best` for a pair of models: ``python -m lab.fit_best --help``.

Weights, constants and calibration come from training collections alone. Which terms may get
weight is decided by leaving out one training collection at a time; the reported collections
only show the result. Features are cached, so that a second run with another cross-encoder
scores nothing but that.

With a cross-encoder, only queries count whose passages its training held out (4 %, chosen by
a hash of the passage's id): on the others it knows the answers, and would be trusted too much.
Its weight is then earned on unseen text, so the pull towards equal weights may be weaker.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.fitting import ablation, report, token_bank
from lab.fitting.placebos import placebo_features
from lab.fitting.sample import draw, unseen
from reranker.engine import Reranker
from reranker_bench.data.beir import load_beir
from reranker_bench.data.candidate_pools import spaced
from reranker_bench.tuning import features
from reranker_bench.tuning.weights import fit
from reranker_methods.features.token_statistics import load_token_statistics, save_token_statistics
from reranker_methods.profile import file_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reranker.pipeline.fusion import WeightedSum
    from reranker_bench.tuning.features import Table
    from reranker_methods.features.token_statistics import TokenStatistics

TRAINING = ("selqa-dev", "policyqa-dev", "covidqa", "medquad", "keyphrase", "tldr")
REPORTED = ("cranfield", "cisi", "wikiqa-test")
ALONE = ("cosine", "attention", "subspace")
TOGETHER = ("cosine", "attention", "cross_encoder")
INTRODUCTION = """# What each term of `best` earns

Written by `python -m lab.fit_best`; do not edit. The training collections are each
reported with weights fitted on the others, the rest with weights fitted on all training
collections. `attention_shuffled`, `subspace_of_another` and `length` are placebos: features of
the same shape without the meaning, whose gain must vanish."""


class Fitting:
    """One run of the command: the models, the collections and where things are kept."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.models = Reranker().models
        self.bi = self.models.bi_encoder(options.model)
        self.bank = self._bank()

    def _bank(self) -> TokenStatistics:
        path = self.options.output / Path(file_name(self.bi.name, None)).with_suffix(".npz")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            window = next(m.window for m in self.models.loaded() if m.id == self.bi.name)
            sources = [load_beir(self.options.data / name) for name in TRAINING]
            save_token_statistics(token_bank.measure(self.bi, window, sources), path)
        return load_token_statistics(path)

    def tables(self, names: Sequence[str], queries: int, depth: int, *, fit: bool) -> list[Table]:
        """Return the collections' features by the bi-encoder."""
        tables = []
        for name in names:
            sample = draw(load_beir(self.options.data / name), queries, depth, prefer_unseen=fit)
            progress(f"{name}: {len(sample.queries)} queries, {len(sample.texts)} documents")
            parts = (sample, self.bi, self.bank, self.options.cache)
            values = features.bi_features(*parts) | placebo_features(*parts)
            tables.append(features.tabulate(sample, values))
        return tables

    def with_cross(self, tables: Sequence[Table]) -> list[Table]:
        """Return tables with the cross-encoder's logits beside the other features."""
        cross = self.models.cross_encoder(self.options.model_cross)
        found = []
        for table in tables:
            progress(f"{table.sample.name}: {len(table.relevant)} pairs for {cross.name}")
            logits = features.cross_features(table.sample, cross, self.options.cache)
            found.append(features.tabulate(table.sample, table.values | logits))
        return found

    def write(
        self, cross: str | None, fusion: WeightedSum, tables: Sequence[Table], pull: float
    ) -> None:
        """Write a profile."""
        counts = {table.sample.name: len(table.sample.queries) for table in tables}
        profile: dict[str, Any] = {
            "bi_encoder": self.bi.name,
            "cross_encoder": cross,
            "features": {
                name: {key: round(value, 4) for key, value in asdict(term).items()}
                for name, term in fusion.terms.items()
            },
            "calibration": {
                key: round(value, 4) for key, value in asdict(fusion.calibration).items()
            },
            "bank": Path(file_name(self.bi.name, None)).with_suffix(".npz").name,
            "fitted": {"queries": counts, "pull": pull},
        }
        path = self.options.output / file_name(self.bi.name, cross)
        path.write_text(json.dumps(profile, indent=2) + "\n", encoding="utf-8")
        progress(f"wrote {path}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    run, add = Fitting(options), ReportLines()
    training = run.tables(TRAINING, options.queries, options.depth, fit=True)
    reported = run.tables(REPORTED, options.report_queries, 100, fit=False)
    term_sets = [*ablation.ADDED_IN_TURN, *ablation.OTHER_SETS, *ablation.PLACEBOS]
    report.show(add, "Without a cross-encoder", training, reported, term_sets, options.pull)
    alone = fit(training, options.alone, options.pull)
    run.write(None, alone, training, options.pull)
    calibrated(add, alone, training, reported)
    if options.model_cross:
        parts = [t.only(unseen(t.sample)[: options.cross_queries]) for t in training]
        held_out = run.with_cross([part for part in parts if part.sample.queries])
        together = fit(held_out, options.together, options.cross_pull)
        run.write(
            run.models.cross_encoder(options.model_cross).name,
            together,
            held_out,
            options.cross_pull,
        )
        reported = run.with_cross(
            [t.only(spaced(list(t.sample.queries), options.cross_report)) for t in reported]
        )
        term_sets = [*ablation.ADDED_IN_TURN[:2], *ablation.WITH_CROSS]
        report.show(
            add, "With the cross-encoder", held_out, reported, term_sets, options.cross_pull
        )
        calibrated(add, together, held_out, reported)
        report.reliability(
            add, "The cross-encoder", lambda t: t.values["cross_encoder"], held_out, reported
        )
        report.cascade(add, reported)
    if options.report:
        options.report.write_text("\n".join([INTRODUCTION, *add.lines, ""]), encoding="utf-8")
    return 0


def calibrated(
    add: ReportLines, fusion: WeightedSum, training: Sequence[Table], reported: Sequence[Table]
) -> None:
    """Print the reliability of a fusion's scores."""
    title = f"Scores of `best` ({', '.join(fusion.terms)})"
    report.reliability(add, title, lambda t: fusion.logits(t.values), training, reported)


class ReportLines:
    """Writes lines to standard output and remembers those that belong into the report."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        """Add a line to the report."""
        self.lines.append(line)
        progress(line)


def progress(line: str) -> None:
    """Write one line to standard output alone."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Fit the profile of method `best`.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--output", type=Path, required=True, help="folder of the profiles")
    parser.add_argument("--cache", type=Path, default=Path(".cache/fit_best"))
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="bi-encoder id")
    parser.add_argument("--model-cross", help="cross-encoder id; without it only the first half")
    parser.add_argument("--queries", type=int, default=60, help="of each training collection")
    parser.add_argument("--depth", type=int, default=30, help="of the training pools")
    parser.add_argument("--cross-queries", type=int, default=60, help="of those, for logits")
    parser.add_argument("--cross-report", type=int, default=25, help="of the reported ones")
    parser.add_argument("--report-queries", type=int, default=50, help="of each reported one")
    parser.add_argument("--report", type=Path, help="Markdown file for the tables")
    parser.add_argument("--pull", type=float, default=1.0, help="towards equal weights")
    parser.add_argument("--cross-pull", type=float, default=0.03, help="the same with its logits")
    parser.add_argument("--alone", nargs="+", default=ALONE, help="terms without cross-encoder")
    parser.add_argument("--together", nargs="+", default=TOGETHER, help="terms with one")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
