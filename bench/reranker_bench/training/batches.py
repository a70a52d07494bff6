"""Laying training lists out as padded tensors, pairs of like length together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reranker_bench.training.lists import Example, TrainingList
from reranker_bench.training.loss import SOFT_SHARE
from reranker_bench.training.passages import Ints
from reranker_bench.training.teacher import CLS, SEP

MATCH = (0.36, 0.23)
"""Mean and deviation of token matches over training pairs."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pairs of like length: [CLS] query [SEP] document [SEP].

    Attributes:
        pairs: (n,) where each pair stands in its step, lists one after another.
        ids: (n, length) token ids.
        types: (n, length) segment ids, 1 from the document on.
        mask: (n, length) True at real tokens.
        matched: (n, length) standardised token matches.
        scored: (n, length) True where ``matched`` says something.
    """

    pairs: torch.Tensor
    ids: torch.Tensor
    types: torch.Tensor
    mask: torch.Tensor
    matched: torch.Tensor
    scored: torch.Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One step: its chunks, and per list the teacher's scores and their share of the target."""

    chunks: tuple[Chunk, ...]
    soft: torch.Tensor
    share: torch.Tensor
    tokens: int


def lay_out(drawn: Sequence[TrainingList], chunks: int) -> Batch:
    """Return the lists, all of one size, as a batch split into chunks of like length."""
    pairs = [(one.query, example) for one in drawn for example in one.examples]
    lengths = np.array([len(q) + len(e.document) + 3 for q, e in pairs])
    parts = np.array_split(np.argsort(lengths, kind="stable"), chunks)
    laid = tuple(_chunk(pairs, lengths, part) for part in parts if len(part))
    soft = torch.tensor([[e.soft for e in one.examples] for one in drawn], dtype=torch.float32)
    share = torch.tensor([SOFT_SHARE[one.kind] for one in drawn])
    return Batch(laid, soft, share, sum(c.ids.numel() for c in laid))


def _chunk(
    pairs: Sequence[tuple[Ints, Example]], lengths: NDArray[np.int64], part: NDArray[np.int64]
) -> Chunk:
    shape = (len(part), int(lengths[part].max()))
    ids, types = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    mask, scored = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    matched = np.zeros(shape, dtype=np.float32)
    for row, place in enumerate(part):
        query, example = pairs[place]
        start, end = len(query) + 2, len(query) + 2 + len(example.document)
        ids[row, : end + 1] = [CLS, *query, SEP, *example.document, SEP]
        types[row, start : end + 1] = 1
        mask[row, : end + 1] = True
        for first, values in ((1, example.query_match), (start, example.document_match)):
            matched[row, first : first + len(values)] = (values - MATCH[0]) / MATCH[1]
            scored[row, first : first + len(values)] = True
    tensors = [torch.from_numpy(a) for a in (part.copy(), ids, types, mask, matched, scored)]
    return Chunk(*tensors)
