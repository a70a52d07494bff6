from collections.abc import Callable

import numpy as np
import pytest
import torch

from lab.training.optimization.batches import chunked
from lab.training.optimization.forward import pair_logits
from reranker.families.split_cross_encoder.network import SplitBert


def test_logits_come_back_in_the_order_of_the_pairs(new_model: Callable[[], SplitBert]) -> None:
    random, model = np.random.default_rng(0), new_model()
    lengths = [(3, 30), (5, 4), (2, 11), (9, 17), (1, 1)]
    pairs = [(random.integers(1, 100, q), random.integers(1, 100, d)) for q, d in lengths]
    with torch.inference_mode():
        together = pair_logits(model, chunked(pairs, 2))
        alone = [float(pair_logits(model, chunked([pair], 1))) for pair in pairs]
    assert together.numpy() == pytest.approx(alone, abs=2e-2)  # bfloat16 where it is fast
