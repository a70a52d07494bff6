"""What is kept of a text or a pair, and how it is written for other processes.

Written as raw little-endian numbers behind a fixed header: nothing that is read back can be
more than numbers, and what does not fit its header counts as not found.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from reranker.families.roles import Memo, TokenVectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

POOLED, TOKENS = "p", "t"
"""The kinds of record of a text: its pooled vector alone, which is small, or with token vectors."""
FIXED_POINT = 32767  # the largest int16
_MEMO_BYTES = 400  # a dictionary with a number or two
_SCORE_BYTES = 120
_SCORE = struct.Struct("<fI?")
_EMBEDDING = struct.Struct("<I???III")  # count, truncated, tokens?, weights?, both widths, tokens


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """All that is known of a pair: float32 logit, document tokens read, whether it was cut."""

    logit: float
    count: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class EmbeddingRecord:
    """All that is known of a text.

    Coordinates of unit vectors lie in [-1, 1], so token vectors are kept as fractions of 32767:
    half the bytes of float32, and at most 2e-5 off where float16 would be 2e-4 off.

    Attributes:
        vector: (d,) float32, of unit length.
        count: tokens read, special ones left out.
        truncated: whether the text was cut.
        tokens: (t, d) int16, or None where they were not needed.
        ids: (t,) int32, vocabulary ids of the tokens that have vectors.
        spans: (t, 2) int32, their characters.
        weights: (t,) float32 of a sparse head, or None.
        memo: what methods keep beside the token vectors; it is not written down.
    """

    vector: NDArray[np.float32]
    count: int
    truncated: bool
    tokens: NDArray[np.int16] | None = None
    ids: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    spans: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 2), np.int32))
    weights: NDArray[np.float32] | None = None
    memo: Memo = field(default_factory=dict, compare=False, repr=False)

    def token_vectors(self) -> TokenVectors:
        """Return the token vectors in float32.

        Raises:
            ValueError: there are none.
        """
        if self.tokens is None:
            raise ValueError("the record has no token vectors")
        return TokenVectors(
            vectors=self.tokens * np.float32(1 / FIXED_POINT),
            ids=self.ids.astype(np.int64),
            spans=self.spans.copy(),
            weights=None if self.weights is None else self.weights.copy(),
            memo=self.memo,
        )


class ScoreCodec:
    """Sizes and bytes of `ScoreRecord`; see `Codec`."""

    def size(self, _: ScoreRecord) -> int:
        """Return the bytes in memory."""
        return _SCORE_BYTES

    def encode(self, record: ScoreRecord) -> Mapping[str, bytes]:
        """Return the bytes to write, of the one kind of record there is."""
        return {"": _SCORE.pack(record.logit, record.count, record.truncated)}

    def decode(self, data: bytes) -> ScoreRecord | None:
        """Return the record that was written; None if it is something else."""
        if len(data) != _SCORE.size:
            return None
        record = ScoreRecord(*_SCORE.unpack(data))
        return record if math.isfinite(record.logit) else None


class EmbeddingCodec:
    """Sizes and bytes of `EmbeddingRecord`; see `Codec`."""

    def size(self, record: EmbeddingRecord) -> int:
        """Return the bytes in memory, those of a memo beside token vectors included."""
        arrays = (record.vector, record.tokens, record.weights, record.ids, record.spans)
        memo = 0 if record.tokens is None else _MEMO_BYTES
        return memo + sum(array.nbytes for array in arrays if array is not None)

    def encode(self, record: EmbeddingRecord) -> Mapping[str, bytes]:
        """Return the bytes to write, by kind of record."""
        tokens, weights = record.tokens, record.weights
        width, head = len(record.vector), (record.count, record.truncated)
        pooled = [
            _EMBEDDING.pack(*head, False, False, width, 0, 0),
            record.vector.astype("<f4").tobytes(),
        ]
        kinds = {POOLED: b"".join(pooled)}
        if tokens is not None:
            rows, token_width = tokens.shape
            parts = [
                _EMBEDDING.pack(*head, True, weights is not None, width, token_width, rows),
                pooled[1],
                tokens.astype("<i2").tobytes(),
                weights.astype("<f4").tobytes() if weights is not None else b"",
                record.ids.astype("<i4").tobytes(),
                record.spans.astype("<i4").tobytes(),
            ]
            kinds[TOKENS] = b"".join(parts)
        return kinds

    def decode(self, data: bytes) -> EmbeddingRecord | None:
        """Return the record that was written, of either kind; None if it is something else."""
        if len(data) < _EMBEDDING.size:
            return None
        count, truncated, has_tokens, has_weights, *shape = _EMBEDDING.unpack_from(data)
        width, token_width, rows = shape
        sizes = (4 * width, 2 * rows * token_width, 4 * rows * has_weights, 4 * rows, 8 * rows)
        if len(data) != _EMBEDDING.size + sum(sizes):
            return None
        arrays, start = [], _EMBEDDING.size
        for size, dtype in zip(sizes, ("<f4", "<i2", "<f4", "<i4", "<i4"), strict=True):
            arrays.append(np.frombuffer(data[start : start + size], dtype))
            start += size
        vector, tokens, weights, ids, spans = arrays
        if not np.isfinite(vector).all():
            return None
        return EmbeddingRecord(
            vector,
            count,
            truncated,
            tokens.reshape(rows, token_width) if has_tokens else None,
            ids,
            spans.reshape(-1, 2),
            weights if has_weights else None,
        )
