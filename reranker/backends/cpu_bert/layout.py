"""Where the computed tokens of a batch stand among its padding."""

# Annotations are left as they are here: TorchScript reads them.
from typing import NamedTuple

import torch

LONG, TOO_LONG = 64, 1024
"""Tokens of a batch's longest text between which attention may run text by text: its buffers stay
in the CPU's cache, and there is no padding. Shorter texts are too many, and for longer ones plain
matmuls of all tokens with all would take too much memory."""


class Layout(NamedTuple):
    """The computed tokens of a batch of texts; what stands at padding is never computed.

    Attributes:
        texts: how many there are.
        length: of the longest.
        lengths: of all texts, where attention goes through them one by one.
        query_lengths: of texts that are pairs, how many tokens the query has, as `lengths`.
        keys: (texts, 1, 1, length) True at real tokens; None where all are.
        real: (t,) positions of the computed tokens in the flattened batch; None is all of them.
        spread: (texts * length,) which computed token stands where; any one at padding.
    """

    texts: int
    length: int
    lengths: list[int] | None = None
    query_lengths: list[int] | None = None
    keys: torch.Tensor | None = None
    real: torch.Tensor | None = None
    spread: torch.Tensor | None = None

    @classmethod
    def of(
        cls, texts: int, length: int, real: torch.Tensor | None, *, by_text: bool = False
    ) -> "Layout":
        """Return the layout that leaves padding out, where the mask can be read at once.

        On other devices than a CPU that would wait for the device; and what an exporter follows
        keeps to shapes that do not depend on the mask.

        Args:
            texts: how many there are.
            length: of the longest.
            real: (texts, length) True at real tokens; None where all are.
            by_text: whether attention on a CPU should go through long texts one by one.
        """
        traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if real is not None and (real.device.type != "cpu" or traced):
            return cls(texts, length, keys=real[:, None, None])
        by_text = by_text and LONG <= length <= TOO_LONG and not traced
        if real is None or bool(real.all()):
            return cls(texts, length, [length] * texts if by_text else None)
        flat = real.flatten()
        return cls(
            texts,
            length,
            lengths=real.sum(1).tolist() if by_text else None,
            keys=real[:, None, None],
            real=flat.nonzero()[:, 0],
            spread=(flat.cumsum(0) - 1).clamp_(min=0),
        )

    def rows(self, padded: torch.Tensor) -> torch.Tensor:
        """Return the (t, ...) computed tokens of a flattened batch (texts * length, ...)."""
        return padded if self.real is None else padded.index_select(0, self.real)

    def padded(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the flattened batch (texts * length, width) of (t, width) rows, padded with 0."""
        if self.real is None:
            return rows
        blank = rows.new_zeros(self.texts * self.length, rows.shape[1])
        return blank.index_copy_(0, self.real, rows)
