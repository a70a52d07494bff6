"""The training loop: seeded, resumable, bounded by minutes or by steps."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lab.training.corpus.prepare import Material
from lab.training.export import write_overlay
from lab.training.optimization.batches import Batch, lay_out
from lab.training.optimization.dev import dev_lists, model_gains, teacher_gains
from lab.training.optimization.forward import pair_logits
from lab.training.optimization.lists import ListSource, TrainingList
from lab.training.optimization.loss import Losses, losses
from lab.training.optimization.state import TrainingState

LogLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainingBudget:
    """How long to train: whichever of the two bounds is set and reached first."""

    minutes: float | None = None
    steps: int | None = None

    def progress(self, state: TrainingState) -> float:
        """Return how much of the budget is spent, 0 to 1."""
        parts = [0.0]
        if self.minutes is not None:
            parts.append(state.seconds / (60 * self.minutes))
        if self.steps is not None:
            parts.append(state.step / self.steps)
        return min(1.0, max(parts))


RATE = 2e-4


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """The loop's settings.

    Attributes:
        budget: When to stop.
        rate: The highest learning rate; warmed up, then lowered linearly to 0.
        warmup: Steps until the highest rate.
        lists: Lists per step.
        chunks: Parts of a step that are computed one after another, by length.
        save_every: Seconds between checkpoints.
        dev_every: Seconds between evaluations on the held-out split.
    """

    budget: TrainingBudget
    rate: float = RATE
    warmup: int = 100
    lists: int = 4
    chunks: int = 4
    save_every: float = 120.0
    dev_every: float = 900.0


def train(
    state: TrainingState,
    source: ListSource,
    materials: Sequence[Material],
    plan: TrainingPlan,
    folder: Path,
    report: LogLine,
) -> None:
    """Train until the budget is spent; leave ``overlay.safetensors`` and a log in ``folder``."""
    held = dev_lists(source, materials)
    saved = measured = state.seconds
    if state.step == 0:
        _log(folder, report, {"step": 0, "teacher": teacher_gains(held)})
        _measure(state, held, folder, report)
    while (progress := plan.budget.progress(state)) < 1.0:
        began = time.monotonic()
        parts, batch = train_step(state, source, plan, progress)
        state.seconds += time.monotonic() - began
        if state.step % 20 == 0:
            report(_line(state, parts, batch, progress))
        if state.seconds - saved > plan.save_every:
            state.save(folder / "checkpoint.pt")
            saved = state.seconds
        if state.seconds - measured > plan.dev_every:
            _measure(state, held, folder, report, export=True)
            measured = state.seconds
    state.save(folder / "checkpoint.pt")
    _measure(state, held, folder, report, export=True)


def train_step(
    state: TrainingState, source: ListSource, plan: TrainingPlan, progress: float
) -> tuple[Losses, Batch]:
    """Take one optimiser step and return the parts of its loss and its batch."""
    batch = lay_out(source.draw(state.step, plan.lists), plan.chunks)
    logits = pair_logits(state.model, batch.chunks).view_as(batch.soft)
    parts = losses(logits, batch.soft, batch.share)
    share = min(1.0, (state.step + 1) / plan.warmup) * (1 - progress)
    for group in state.optimizer.param_groups:
        group["lr"] = plan.rate * share * group["scale"]
    state.optimizer.zero_grad()
    parts.total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    state.optimizer.step()
    state.step += 1
    state.update_average()
    return parts, batch


def _measure(
    state: TrainingState,
    held: dict[str, list[TrainingList]],
    folder: Path,
    report: LogLine,
    *,
    export: bool = False,
) -> None:
    live = {n: p.detach().clone() for n, p in state.model.named_parameters() if n in state.average}
    state.model.load_state_dict(state.average, strict=False)
    gains = model_gains(state.model, held)
    _log(folder, report, {"step": state.step, "seconds": round(state.seconds), "dev": gains})
    if export:
        write_overlay(state.model, folder)
    state.model.load_state_dict(live, strict=False)


def _log(folder: Path, report: LogLine, entry: dict[str, Any]) -> None:
    values = entry.get("dev") or entry["teacher"]
    entry["mean"] = sum(values.values()) / len(values)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    report(json.dumps(entry))


def _line(state: TrainingState, parts: Losses, batch: Batch, progress: float) -> str:
    return (
        f"step {state.step} {progress:.1%} {state.seconds:.0f}s "
        f"list {parts.listwise.item():.3f} point {parts.pointwise.item():.3f} "
        f"tokens {batch.tokens}"
    )
