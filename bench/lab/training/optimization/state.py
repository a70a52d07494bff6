"""What a training run must remember to go on after a stop: weights, averages, optimiser, time."""

from dataclasses import dataclass
from pathlib import Path

import torch

from reranker.families.split_cross_encoder.network import SplitBert

AVERAGE = 0.997
"""Decay of the running average of the weights, which is what gets exported."""


@dataclass(slots=True)
class TrainingState:
    """A run in progress.

    Attributes:
        model: The cross-encoder.
        optimizer: AdamW over everything trained.
        average: Running average of the trained weights.
        step: Steps finished.
        seconds: Time spent in steps, over all resumed parts.
    """

    model: SplitBert
    optimizer: torch.optim.Optimizer
    average: dict[str, torch.Tensor]
    step: int = 0
    seconds: float = 0.0

    def update_average(self) -> None:
        """Take the current weights into the average; early on it forgets faster."""
        decay = min(AVERAGE, (1 + self.step) / (10 + self.step))
        names = [n for n, p in self.model.named_parameters() if p.requires_grad]
        live = dict(self.model.named_parameters())
        torch._foreach_lerp_(
            [self.average[n] for n in names], [live[n].data for n in names], 1 - decay
        )

    def save(self, path: Path) -> None:
        """Write a checkpoint under a temporary name, then rename it."""
        temporary = path.with_suffix(".tmp")
        content = {
            "model": {k: v for k, v in self.model.state_dict().items() if k in self.average},
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(content, temporary)
        temporary.replace(path)

    def restore(self, path: Path) -> None:
        """Read a checkpoint written by ``save``."""
        content = torch.load(path, weights_only=True)
        self.model.load_state_dict(content["model"], strict=False)
        self.optimizer.load_state_dict(content["optimizer"])
        self.average, self.step = content["average"], content["step"]
        self.seconds = content["seconds"]


HEAD, GATES = 5.0, 100.0
"""Learning rates of the fresh head and of the gates, as multiples of the layers' own."""


def new_state(model: SplitBert, rate: float) -> TrainingState:
    """Return the state of a run at its first step.

    Args:
        model: A cross-encoder with frozen lower layers.
        rate: The highest learning rate of the layers.
    """
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    layers = [p for n, p in trained.items() if n.startswith("bert.")]
    head = [p for n, p in trained.items() if not n.startswith(("bert.", "gates"))]
    groups = [
        {"params": [p for p in layers if p.dim() > 1], "weight_decay": 0.01, "scale": 1.0},
        {"params": [p for p in layers if p.dim() <= 1], "weight_decay": 0.0, "scale": 1.0},
        {"params": head, "weight_decay": 0.0, "scale": HEAD},
        {"params": [model.gates], "weight_decay": 0.0, "scale": GATES},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)
    average = {n: p.detach().clone() for n, p in trained.items()}
    return TrainingState(model, optimizer, average)
