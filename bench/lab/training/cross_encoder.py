"""Train the embedded cross-encoder: ``python -m lab.training.cross_encoder --help``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from lab.training.base import new_cross_encoder
from lab.training.corpus.passages import inverse_document_frequency, joined
from lab.training.corpus.prepare import prepare
from lab.training.optimization.lists import ListSource
from lab.training.optimization.loop import RATE, TrainingBudget, TrainingPlan, train
from lab.training.optimization.state import new_state

DEFAULT_MINUTES = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    if options.minutes is None and options.steps is None:
        options.minutes = DEFAULT_MINUTES
    if options.threads:
        torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    checkpoint = options.output / "checkpoint.pt"
    if checkpoint.exists() and not options.resume:
        _complain(f"{checkpoint} exists: pass --resume, or another --output")
        return 2
    materials = prepare(options.data, options.output / "prepared", options.seed, _report)
    model = new_cross_encoder(options.seed, options.start)
    plan = TrainingPlan(TrainingBudget(options.minutes, options.steps), options.rate)
    state = new_state(model, plan.rate)
    if checkpoint.exists():
        state.restore(checkpoint)
    texts = joined([m.passages for m in materials])
    idf = inverse_document_frequency(texts, model.config.vocab_size)
    source = ListSource(materials, idf, options.seed)
    train(state, source, materials, plan, options.output, _report)
    return 0


def _report(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train the embedded cross-encoder on a CPU.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--output", type=Path, required=True, help="folder for cache and results")
    parser.add_argument(
        "--minutes", type=float, help="time budget, preparation not counted (60 without --steps)"
    )
    parser.add_argument("--steps", type=int, help="step budget; repeatable where minutes are not")
    parser.add_argument("--seed", type=int, default=13, help="seed of every choice")
    parser.add_argument("--threads", type=int, help="threads of the tensor library")
    parser.add_argument(
        "--rate", type=float, default=RATE, help="highest learning rate of the layers"
    )
    parser.add_argument("--start", type=Path, help="folder of an overlay to go on from")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
