import math

import numpy as np
import pytest
import torch

from lab.training.corpus import recipe, teacher
from lab.training.optimization import loss


def test_without_teacher_the_list_loss_is_softmax_cross_entropy() -> None:
    parts = loss.losses(
        logits=torch.tensor([[1.0, 0.0]]),
        soft=torch.tensor([[0.0, 5.0]]),
        share=torch.tensor([0.0]),
    )
    assert parts.listwise.item() == pytest.approx(math.log(1 + math.exp(-1)))
    expected = (math.log(1 + math.exp(-1)) + math.log(2)) / 2
    assert parts.pointwise.item() == pytest.approx(expected)


def test_the_recipe_gives_every_list_a_kind_that_the_loss_knows() -> None:
    shares = [share for each in recipe.COLLECTIONS for share in each.shares.items()]
    assert sum(percent for _, percent in shares) == 100
    assert {kind for kind, _ in shares} == set(loss.SOFT_SHARE)


def test_with_the_teacher_alone_the_best_logits_are_the_teachers() -> None:
    soft = torch.tensor([[0.1, 0.4, -0.2]])

    def listwise(logits: torch.Tensor) -> float:
        return loss.losses(logits, soft, torch.ones(1)).listwise.item()

    best = listwise(soft / loss.TEMPERATURE)
    assert best < listwise(soft / loss.TEMPERATURE + torch.tensor([[0.3, 0.0, 0.0]]))
    assert best < listwise(torch.zeros(1, 3))


def test_the_pointwise_part_counts_lightly() -> None:
    parts = loss.Losses(listwise=torch.tensor(1.0), pointwise=torch.tensor(2.0))
    assert parts.total.item() == pytest.approx(1.0 + 2 * loss.POINTWISE)


def test_teacher_scores_by_their_formula() -> None:
    query = np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    document = np.array([[3.0, 0.0]], dtype=np.float32)
    scored = teacher.score(query, document, np.array([3.0, 1.0], dtype=np.float32))
    assert scored.document_match == pytest.approx([1.0])
    assert scored.attention == pytest.approx(0.75)
    assert scored.cosine == pytest.approx(0.5 / math.sqrt(0.25 + 1.0))
