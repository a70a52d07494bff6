"""Laying training lists out as padded tensors, pairs of like length together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lab.training.corpus.passages import Ints
from lab.training.corpus.teacher import CLS, SEP
from lab.training.optimization.lists import TrainingList
from lab.training.optimization.loss import SOFT_SHARE

Pair = tuple[Ints, Ints]
"""Token ids of a query and of a document."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pairs of like length: [CLS] query [SEP] [CLS] document [SEP].

    Attributes:
        pairs: (n,) where each pair stands in its step, lists one after another.
        ids: (n, length) token ids.
        types: (n, length) segment ids, 1 from the document's [CLS] on.
        mask: (n, length) True at real tokens.
    """

    pairs: torch.Tensor
    ids: torch.Tensor
    types: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One step: its chunks, and per list the teacher's scores and their share of the target."""

    chunks: tuple[Chunk, ...]
    soft: torch.Tensor
    share: torch.Tensor

    @property
    def tokens(self) -> int:
        """Return the padded tokens of the step."""
        return sum(chunk.ids.numel() for chunk in self.chunks)


def lay_out(drawn: Sequence[TrainingList], chunks: int) -> Batch:
    """Return the lists, all of one size, as a batch split into chunks of like length."""
    pairs = [(one.query, example.document) for one in drawn for example in one.examples]
    soft = torch.tensor([[e.soft for e in one.examples] for one in drawn], dtype=torch.float32)
    share = torch.tensor([SOFT_SHARE[one.kind] for one in drawn])
    return Batch(tuple(chunked(pairs, chunks)), soft, share)


def chunked(pairs: Sequence[Pair], chunks: int) -> list[Chunk]:
    """Split pairs into as many padded chunks of like length."""
    order = np.argsort([len(query) + len(document) for query, document in pairs], kind="stable")
    return [_chunk(pairs, part) for part in np.array_split(order, chunks) if len(part)]


def _chunk(pairs: Sequence[Pair], part: np.ndarray) -> Chunk:
    longest = max(len(query) + len(document) + 4 for query, document in (pairs[i] for i in part))
    shape = (len(part), longest)
    ids, types = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=bool)
    for row, place in enumerate(part):
        query, document = pairs[place]
        middle, end = len(query) + 2, len(query) + len(document) + 4
        ids[row, :end] = [CLS, *query, SEP, CLS, *document, SEP]
        types[row, middle:end] = 1
        mask[row, :end] = True
    return Chunk(*(torch.from_numpy(a) for a in (part.copy(), ids, types, mask)))
