"""The training loss: listwise cross-entropy, a soft listwise target, and a pointwise helper.

* Listwise softmax cross-entropy (ListNet, Cao et al., 2007) against a mixture of the label and the
  softmax of the teacher's scores (Hinton et al., 2015); the share of the teacher depends on the
  kind of query, because labels of real questions carry more than a bi-encoder does.
* Binary cross-entropy of each pair, lightly, so that logits of different queries compare.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

SOFT_SHARE = {
    "question": 0.3,
    "related": 0.4,
    "topic": 0.5,
    "sentence": 0.7,
    "keywords": 0.6,
    "long": 0.7,
}
TEMPERATURE = 0.4
POINTWISE = 0.1


@dataclass(frozen=True, slots=True)
class Losses:
    """The parts of one step's loss, each a scalar tensor."""

    listwise: torch.Tensor
    pointwise: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """Return the weighted sum."""
        return self.listwise + POINTWISE * self.pointwise


def losses(logits: torch.Tensor, soft: torch.Tensor, share: torch.Tensor) -> Losses:
    """Return the parts of the loss.

    Args:
        logits: (lists, documents) logits; document 0 is the relevant one.
        soft: (lists, documents) standardised scores of the teacher.
        share: (lists,) how much the teacher counts.
    """
    hard = torch.zeros_like(logits)
    hard[:, 0] = 1.0
    target = (1 - share[:, None]) * hard + share[:, None] * (soft / TEMPERATURE).softmax(dim=1)
    return Losses(
        listwise=-(target * logits.log_softmax(dim=1)).sum(dim=1).mean(),
        pointwise=functional.binary_cross_entropy_with_logits(logits, hard),
    )
