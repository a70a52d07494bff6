"""The held-out split: queries of every kind whose passages training never saw."""

from collections.abc import Sequence

import numpy as np
import torch

from lab.training.corpus.prepare import Material
from lab.training.optimization.batches import lay_out
from lab.training.optimization.forward import pair_logits
from lab.training.optimization.lists import ListSource, TrainingList
from reranker.families.split_cross_encoder.network import SplitBert

PER_KIND = 14
DOCUMENTS = 12


def dev_lists(source: ListSource, materials: Sequence[Material]) -> dict[str, list[TrainingList]]:
    """Return up to ``PER_KIND`` held-out lists of ``DOCUMENTS`` for each collection and kind."""
    found: dict[str, list[TrainingList]] = {}
    for material in materials:
        for number, query in enumerate(material.queries):
            lists = found.setdefault(f"{material.name}/{query.kind}", [])
            if len(lists) < PER_KIND and material.is_dev(number):
                drawn = source.dev_list(material, number, DOCUMENTS)
                if len(drawn.examples) == DOCUMENTS:
                    lists.append(drawn)
    return {name: lists for name, lists in found.items() if lists}


def gain(scores: np.ndarray) -> float:
    """Return nDCG@10 of a list whose only relevant document is the first; ties count against it."""
    rank = int((scores >= scores[0]).sum())
    return float(1 / np.log2(rank + 1)) if rank <= 10 else 0.0


def teacher_gains(lists: dict[str, list[TrainingList]]) -> dict[str, float]:
    """Return the teacher's own mean nDCG@10 per kind."""
    return {
        name: float(np.mean([gain(np.array([e.soft for e in one.examples])) for one in group]))
        for name, group in lists.items()
    }


def model_gains(model: SplitBert, lists: dict[str, list[TrainingList]]) -> dict[str, float]:
    """Return the model's mean nDCG@10 per kind."""
    means = {}
    with torch.inference_mode():
        for name, group in lists.items():
            logits = pair_logits(model, lay_out(group, chunks=12).chunks)
            rows = logits.view(len(group), DOCUMENTS).numpy()
            means[name] = float(np.mean([gain(row) for row in rows]))
    return means
