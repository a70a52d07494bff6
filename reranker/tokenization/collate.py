"""The input of a network: its window, and rows of ids padded to one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

# Families whose positions start after the padding id, so that not all of the table is usable.
_USUAL_WINDOW, _LONGEST_WINDOW = 512, 32_768
_OFFSET_POSITIONS = ("roberta", "camembert", "mpnet", "longformer", "xmod", "data2vec-text")


def window_of(config: Any, declared: int | None) -> int:
    """Return how many tokens the network can read, special ones included.

    Args:
        config: the transformer's own configuration.
        declared: the window that the checkpoint declares, if it does.
    """
    positions = getattr(config, "max_position_embeddings", None) or -1
    if positions < 0:  # the architecture has no limit of its own
        return min(declared or _USUAL_WINDOW, _LONGEST_WINDOW)
    kind = str(getattr(config, "model_type", ""))
    if any(family in kind for family in _OFFSET_POSITIONS):
        positions -= int(getattr(config, "pad_token_id", 1) or 0) + 1
    return min(positions, declared or positions)


def padding_id(config: Any, tokenizer_id: int | None) -> int:
    """Return the id to pad with: the one that the network masks and counts positions by.

    Args:
        config: the transformer's own configuration.
        tokenizer_id: the tokenizer's padding id, if it has one.
    """
    own = getattr(config, "pad_token_id", None)
    return int(own if own is not None else tokenizer_id or 0)


def collate(
    rows: Sequence[tuple[list[int], list[int]]], pad: int, names: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Pad rows of ids and token types on the right to (n, longest), int64.

    Args:
        rows: ids and token types of each input.
        pad: the padding id.
        names: the inputs that the network takes.
    """
    shape = len(rows), max(len(ids) for ids, _ in rows)
    # NumPy writes short rows faster than torch.
    ids = np.full(shape, pad, dtype=np.int64)
    types, mask = np.zeros_like(ids), np.zeros_like(ids)
    for row, (row_ids, row_types) in enumerate(rows):
        ids[row, : len(row_ids)] = row_ids
        types[row, : len(row_ids)] = row_types
        mask[row, : len(row_ids)] = 1
    features = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}
    return {name: torch.from_numpy(part) for name, part in features.items() if name in names}
