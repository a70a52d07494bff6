import numpy as np
import pytest
import torch

from reranker_bench.training import token_head
from reranker_bench.training.lists import ListSource
from reranker_bench.training.loss import losses
from reranker_bench.training.prepare import Material
from reranker_bench.training.teacher import score


@pytest.fixture
def source(material: Material, idf: np.ndarray) -> ListSource:
    return ListSource([material], idf, seed=1)


def _loss(head: token_head.TokenHead, source: ListSource) -> float:
    drawn = [one for step in range(6) for one in source.draw(step, 4)]
    with torch.inference_mode():
        logits = torch.stack([head(one) for one in drawn])
    return float(losses(logits, torch.zeros_like(logits), torch.zeros(len(drawn))).listwise)


def test_training_lowers_the_loss(source: ListSource, material: Material) -> None:
    torch.manual_seed(0)
    head = token_head.TokenHead(material.vectors.shape[1], 8)
    before = _loss(head, source)
    token_head.train(head, source, 6)
    assert _loss(head, source) < before - 0.01


def test_a_square_rotation_scores_as_the_teacher_does(
    source: ListSource, material: Material
) -> None:
    width = material.vectors.shape[1]
    head = token_head.TokenHead(width, width)
    (one,) = source.draw(0, 1)
    with torch.inference_mode():
        found = head.attention(one).numpy()
    wanted = [score(one.vectors, e.vectors, one.weights).attention for e in one.examples]
    assert found == pytest.approx(wanted, abs=1e-4)


def test_groups_are_measured_by_name(source: ListSource, material: Material) -> None:
    head = token_head.TokenHead(material.vectors.shape[1], 8)
    found = token_head.measure(head, {"a/question": source.draw(0, 3)})
    assert set(found) == {"a/question"}
    assert 0 <= found["a/question"] <= 1
