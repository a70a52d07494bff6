"""The head of the split cross-encoder: it compares two texts' states as a bi-encoder would.

Its parts are the pooled cosine and a soft late interaction (see `reranker_methods`' attention),
and a small network over both pooled vectors adds what they miss. So training starts from a
ranking instead of from chance.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

TAU = 0.05  # a cosine: temperature of the soft late interaction
COSINE = (0.38, 0.21)
ATTENTION = (0.39, 0.19)
"""Mean and deviation of the bi-encoder's two scores over training pairs."""


class Interaction(nn.Module):
    """A trained sum of pooled cosine, soft late interaction and a small network.

    Args:
        width: of the token states.
        hidden: of the small network over both pooled vectors.
    """

    def __init__(self, width: int, hidden: int = 128) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.tensor([1.25, 1.25]))
        self.weigh = nn.Linear(width, 1)
        self.inner = nn.Linear(2 * width, hidden)
        self.outer = nn.Linear(hidden, 1)
        for part in (self.weigh, self.outer):
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)

    def forward(
        self,
        states: torch.Tensor,
        query: torch.Tensor,
        document: torch.Tensor,
        queries_end: int | None = None,
    ) -> torch.Tensor:
        """Return the logits (n,) of token states (n, length, width), given where each text is.

        Args:
            states: float32.
            query: (n, length) True at the query's tokens, special ones included.
            document: the same for the document.
            queries_end: where the last query ends, if that is known.
        """
        pooled_query, pooled_document = (_mean(states, part) for part in (query, document))
        # Written out, since OpenVINO cannot convert torch's own cosine.
        pooled = (pooled_query, pooled_document)
        unit_query, unit_document = (functional.normalize(each, dim=-1) for each in pooled)
        cosine = (unit_query * unit_document).sum(-1)
        unit = functional.normalize(states, dim=-1)
        similarity = unit[:, :queries_end] @ unit.transpose(1, 2)
        share = (similarity / TAU).masked_fill(~document[:, None, :], -torch.inf).softmax(-1)
        matched = (share * similarity).sum(-1)
        weight = functional.softplus(_linear(self.weigh, states[:, :queries_end])[..., 0])
        weight = weight * query[:, :queries_end]
        attention = (weight * matched).sum(-1) / weight.sum(-1)
        both = (pooled_query * pooled_document, (pooled_query - pooled_document).abs())
        learned = _linear(self.outer, functional.gelu(_linear(self.inner, torch.cat(both, -1))))
        parts = torch.stack(
            [(cosine - COSINE[0]) / COSINE[1], (attention - ATTENTION[0]) / ATTENTION[1]], -1
        )
        return parts @ self.scales.float() + learned[:, 0]


def _mean(states: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    share = chosen / chosen.sum(1, keepdim=True)
    return (share[:, None, :].to(states.dtype) @ states)[:, 0]


def _linear(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """Apply a layer in float32, whatever the dtype of the network around it."""
    return functional.linear(x, layer.weight.float(), layer.bias.float())
