"""What is kept of a text or a pair, and how it is written down for other processes.

Written as raw little-endian numbers behind a fixed header: nothing that is read back can be
more than numbers, and what does not fit its header is taken for not found.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from reranker.families.bi_encoder_network import Output

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.families.base import Memo

POOLED, TOKENS = "p", "t"
"""The shelves of a text: its pooled vector alone, which is small, and with its token vectors."""
_MEMO_BYTES = 400  # a dictionary with a number or two
_PAIR = struct.Struct("<fI?")
_TEXT = struct.Struct("<I???III")  # count, truncated, tokens?, weights?, widths of both, tokens


@dataclass(frozen=True, slots=True)
class CachedScore:
    """All there is to know of one pair: float32 logit, document tokens read, whether it was cut."""

    logit: float
    count: int
    truncated: bool

    def shelves(self) -> dict[str, bytes]:
        """Return what to write down, by shelf; pairs have one without a name."""
        return {"": _PAIR.pack(self.logit, self.count, self.truncated)}

    @classmethod
    def read(cls, data: bytes) -> CachedScore | None:
        """Return what was written down; None if it is something else."""
        if len(data) != _PAIR.size:
            return None
        made = cls(*_PAIR.unpack(data))
        return made if math.isfinite(made.logit) else None


@dataclass(frozen=True, slots=True)
class CachedEmbedding:
    """All there is to know of one text.

    Attributes:
        output: of the network.
        count: tokens read, special ones left out.
        truncated: whether the text was cut.
        ids: (t,) int32, of the tokens that have vectors.
        spans: (t, 2) int32, their characters.
        memo: what methods keep beside the token vectors; it is not written down.
    """

    output: Output
    count: int
    truncated: bool
    ids: NDArray[np.int32]
    spans: NDArray[np.int32]
    memo: Memo = field(default_factory=dict, compare=False, repr=False)

    @property
    def nbytes(self) -> int:
        """Return the memory of the arrays, and of a memo beside token vectors."""
        memo = 0 if self.output.tokens is None else _MEMO_BYTES
        return self.output.nbytes + self.ids.nbytes + self.spans.nbytes + memo

    def shelves(self) -> dict[str, bytes]:
        """Return what to write down, by shelf."""
        vector, tokens, weights = self.output.vector, self.output.tokens, self.output.weights
        width, head = len(vector), (self.count, self.truncated)
        pooled = [_TEXT.pack(*head, False, False, width, 0, 0), vector.astype("<f4").tobytes()]
        shelves = {POOLED: b"".join(pooled)}
        if tokens is not None:
            rows, token_width = tokens.shape
            parts = [
                _TEXT.pack(*head, True, weights is not None, width, token_width, rows),
                pooled[1],
                tokens.astype("<i2").tobytes(),
                weights.astype("<f4").tobytes() if weights is not None else b"",
                self.ids.astype("<i4").tobytes(),
                self.spans.astype("<i4").tobytes(),
            ]
            shelves[TOKENS] = b"".join(parts)
        return shelves

    @classmethod
    def read(cls, data: bytes) -> CachedEmbedding | None:
        """Return what was written down on either shelf; None if it is something else."""
        if len(data) < _TEXT.size:
            return None
        count, truncated, has_tokens, weighed, *shape = _TEXT.unpack_from(data)
        width, token_width, rows = shape
        sizes = (4 * width, 2 * rows * token_width, 4 * rows * weighed, 4 * rows, 8 * rows)
        if len(data) != _TEXT.size + sum(sizes):
            return None
        parts, start = [], _TEXT.size
        for size, kind in zip(sizes, ("<f4", "<i2", "<f4", "<i4", "<i4"), strict=True):
            parts.append(np.frombuffer(data[start : start + size], kind))
            start += size
        vector, tokens, weights, ids, spans = parts
        if not np.isfinite(vector).all():
            return None
        output = Output(
            vector,
            tokens.reshape(rows, token_width) if has_tokens else None,
            weights if weighed else None,
        )
        return cls(output, count, truncated, ids, spans.reshape(-1, 2))
