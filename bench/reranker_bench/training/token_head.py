"""Train the embedded bi-encoder's token head: ``python -m reranker_bench.training.token_head``.

bge-m3 comes with a trained linear layer from hidden states to the token vectors that late
interaction compares; all-MiniLM-L6-v2 does not, and its hidden states were trained to be averaged,
not compared one by one. This trains such a layer on the frozen states of the prepared material, by
the listwise loss of the cross-encoder, on top of the pooled cosine: what it learns is what the
cosine lacks.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from reranker_bench.training import dev
from reranker_bench.training.base import base_encoder, base_tokenizer
from reranker_bench.training.lists import ListSource, TrainingList
from reranker_bench.training.loss import SOFT_SHARE, losses
from reranker_bench.training.passages import inverse_document_frequency, joined
from reranker_bench.training.prepare import prepare
from reranker_bench.training.teacher import TAU

RATE = 1e-3
LISTS = 4


class TokenHead(torch.nn.Module):
    """A linear layer to token vectors, and how its score and the cosine add up to a logit.

    Args:
        width: Of the hidden states.
        dimension: Of the token vectors.
    """

    def __init__(self, width: int, dimension: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(width, dimension, bias=False)
        torch.nn.init.orthogonal_(self.linear.weight)
        self.scales = torch.nn.Parameter(torch.full((2,), math.log(10.0)))

    def forward(self, one: TrainingList) -> torch.Tensor:
        """Return the (documents,) logits of one list."""
        cosine, attention = self.scales.exp()
        return cosine * torch.from_numpy(_cosines(one)) + attention * self.attention(one)

    def attention(self, one: TrainingList) -> torch.Tensor:
        """Return the (documents,) soft late interaction of one list."""
        sizes = [len(e.vectors) for e in one.examples]
        flat = torch.from_numpy(np.concatenate([e.vectors for e in one.examples]))
        asked = functional.normalize(self.linear(torch.from_numpy(one.vectors)), dim=-1)
        similar = asked @ functional.normalize(self.linear(flat), dim=-1).T
        weights = torch.from_numpy(one.weights / max(float(one.weights.sum()), 1e-9))
        parts = [(part / TAU).softmax(1).mul(part).sum(1) for part in similar.split(sizes, 1)]
        return torch.stack([weights @ part for part in parts])


def _cosines(one: TrainingList) -> np.ndarray:
    query = one.vectors.mean(axis=0)
    means = np.stack([e.vectors.mean(axis=0) for e in one.examples])
    return (means @ query) / (np.linalg.norm(means, axis=1) * np.linalg.norm(query) + 1e-9)


def train(head: TokenHead, source: ListSource, steps: int) -> None:
    """Train for a number of steps, the rate falling linearly to 0."""
    optimizer = torch.optim.Adam(head.parameters(), lr=RATE)
    for step in range(steps):
        drawn = source.draw(step, LISTS)
        logits = torch.stack([head(one) for one in drawn])
        soft = torch.tensor([[e.soft for e in one.examples] for one in drawn])
        share = torch.tensor([SOFT_SHARE[one.kind] for one in drawn])
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
        optimizer.zero_grad()
        losses(logits, soft, share).listwise.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


@torch.inference_mode()
def measure(head: TokenHead, held: dict[str, list[TrainingList]]) -> dict[str, float]:
    """Return the mean nDCG@10 of cosine and head together, per group of held-out lists."""
    return {
        name: float(np.mean([dev.gain(head(one).numpy()) for one in lists]))
        for name, lists in held.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    torch.manual_seed(options.seed)
    materials = prepare(options.data, options.output / "prepared", options.seed, _report)
    idf = inverse_document_frequency(joined([m.passages for m in materials]), len(base_tokenizer()))
    source = ListSource(materials, idf, options.seed)
    held = dev.dev_lists(source, materials)
    head = TokenHead(base_encoder().config.hidden_size, options.dimension)
    teacher = dev.teacher_gains(held)
    train(head, source, options.steps)
    for name, value in measure(head, held).items():
        _report(f"{name:22} cosine + attention {teacher[name]:.3f}, with the head {value:.3f}")
    save_file({"weight": head.linear.weight.detach().half()}, options.output / "head.safetensors")
    return 0


def _report(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Train the embedded token head on a CPU.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--output", type=Path, required=True, help="folder for cache and results")
    parser.add_argument("--steps", type=int, default=2500, help="of four lists each")
    parser.add_argument("--dimension", type=int, default=128, help="of the token vectors")
    parser.add_argument("--seed", type=int, default=13, help="seed of every choice")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
