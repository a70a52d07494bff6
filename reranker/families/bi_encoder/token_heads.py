"""Trained heads over a bi-encoder's token states: to token vectors, and to lexical weights.

bge-m3 ships them beside its weights as `colbert_linear.pt` and `sparse_linear.pt` (Chen et al.,
"M3-Embedding", Findings of ACL 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TokenHeads:
    """Linear layers over the last hidden states; without them token vectors are those states."""

    multi_vector: torch.nn.Linear | None = None
    sparse: torch.nn.Linear | None = None

    @property
    def modules(self) -> list[torch.nn.Module]:
        """The heads that there are."""
        return [head for head in (self.multi_vector, self.sparse) if head is not None]

    def __call__(self, states: torch.Tensor) -> tuple[torch.Tensor, NDArray[np.float32] | None]:
        """Return the (t, d) unit token vectors of (t, width) states, and (t,) lexical weights."""
        head, sparse = self.multi_vector, self.sparse
        rows = torch.nn.functional.normalize(head(states) if head else states, dim=-1)
        weights = torch.relu(sparse(states)).squeeze(-1).cpu().numpy() if sparse else None
        return rows, weights


def load_heads(folder: Path, width: int) -> TokenHeads:
    """Read the heads that lie beside a model's weights.

    Args:
        folder: of the model.
        width: of its hidden states.
    """
    names = ("colbert_linear.pt", "sparse_linear.pt")
    return TokenHeads(*(_linear(folder / name, width) for name in names))


def _linear(path: Path, width: int) -> torch.nn.Linear:
    """Read a linear layer saved as a plain state dict; anything but tensors is refused."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    layer = torch.nn.Linear(*reversed(state["weight"].shape))
    layer.load_state_dict(state)
    if layer.in_features != width:
        raise ValueError(f"{path.name} reads {layer.in_features} numbers, the network has {width}")
    return layer.eval()
