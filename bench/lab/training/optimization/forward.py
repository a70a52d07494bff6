"""Logits of chunks of pairs, in bfloat16 where the machine is fast at it."""

from collections.abc import Sequence
from functools import cache

import torch

from lab.training.optimization.batches import Chunk
from reranker.families.split_cross_encoder.network import SplitBert


@cache
def fast_bfloat16() -> bool:
    """Tell whether this machine computes bfloat16 faster than float32."""
    from reranker.backends.device import choose_device

    return choose_device("cpu").dtype == "bfloat16"


def pair_logits(model: SplitBert, chunks: Sequence[Chunk]) -> torch.Tensor:
    """Return the logits (pairs,) in the order of the pairs before they were chunked."""
    with torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
        scores = [model(c.ids, c.types, c.mask).logits[:, 0] for c in chunks]
    order = torch.cat([chunk.pairs for chunk in chunks])
    return torch.cat(scores)[torch.argsort(order)]
