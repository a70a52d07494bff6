from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import BertForSequenceClassification

from reranker_bench.training.forward import encode, pair_logits


def test_equals_the_librarys_forward_pass(
    new_model: Callable[[], BertForSequenceClassification],
) -> None:
    model = new_model()
    ids = torch.randint(1, 100, (3, 9))
    types = torch.tensor([[0] * 4 + [1] * 5] * 3)
    mask = torch.ones(3, 9, dtype=torch.bool)
    mask[1, 6:] = False
    with torch.inference_mode():
        expected = model(
            input_ids=ids,
            token_type_ids=types,
            attention_mask=mask.long(),
            output_hidden_states=True,
        )
        logits, states = pair_logits(model, ids, types, mask)
        last = encode(model.bert, ids, types, mask, 2)
    assert logits.numpy() == pytest.approx(expected.logits[:, 0].numpy(), abs=1e-5)
    assert np.allclose(states[mask], expected.hidden_states[1][mask], atol=1e-5)
    assert np.allclose(last[mask], expected.hidden_states[2][mask], atol=1e-5)
