"""Sizes of well-known transformers, and the operations they cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes of a transformer."""

    layers: int
    hidden: int
    heads: int
    inner: int
    vocabulary: int
    window: int = 512

    def flops(self, tokens: int) -> float:
        """Return floating-point operations of the layers for one input, a multiply-add as two.

        Projections and the feed-forward block: 8 h^2 + 4 h i a token and layer; the two matmuls
        of attention: 4 n^2 h a layer (Vaswani et al., 2017). Embeddings and norms are left out.
        """
        linear = tokens * (8 * self.hidden**2 + 4 * self.hidden * self.inner)
        return float(self.layers * (linear + 4 * tokens**2 * self.hidden))


MINILM_L6 = Geometry(6, 384, 12, 1536, 30_522)
XLMR_BASE = Geometry(12, 768, 12, 3072, 250_002)
XLMR_LARGE = Geometry(24, 1024, 16, 4096, 250_002)
