import numpy as np
import pytest
import torch
from support.models import needs_onednn
from transformers import BertConfig, BertModel

from reranker.backends.cpu_bert import layout as bert_layout
from reranker.backends.cpu_bert import prepacked_linear as packing
from reranker.families.split_cross_encoder.interaction import ATTENTION, COSINE, TAU
from reranker.families.split_cross_encoder.network import SplitBert

QUERY, DOCUMENT = [1, 7, 8, 2], [1, 9, 10, 11, 12, 2]


@pytest.fixture(params=["short", "long"])
def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SplitBert:
    """Return a network, and let every pair count as short or as long."""
    monkeypatch.setattr(bert_layout, "LONG", 1 if request.param == "long" else 10**6)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        layers_apart=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return SplitBert(config).eval()


def run(network: SplitBert, query: list[int], document: list[int], pad: int = 0) -> float:
    ids = torch.tensor([[*query, *document, *[0] * pad]])
    types = torch.tensor([[0] * len(query) + [1] * len(document) + [0] * pad])
    mask = torch.tensor([[1] * (len(query) + len(document)) + [0] * pad])
    with torch.inference_mode():
        return float(network(ids, types, mask).logits)


def test_with_shut_gates_it_is_the_bi_encoder_by_cosine_and_late_interaction(
    network: SplitBert,
) -> None:
    with torch.no_grad():
        network.gates.fill_(-1e4)
        states = [
            BertModel.forward(network.bert, torch.tensor([ids])).last_hidden_state[0].numpy()
            for ids in (QUERY, DOCUMENT)
        ]
    means = [part.mean(axis=0) for part in states]
    cosine = means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in states]
    similarity = unit[0] @ unit[1].T
    share = np.exp(similarity / TAU)
    attention = ((share * similarity).sum(1) / share.sum(1)).mean()
    parts = (cosine - COSINE[0]) / COSINE[1] + (attention - ATTENTION[0]) / ATTENTION[1]
    assert run(network, QUERY, DOCUMENT) == pytest.approx(1.25 * parts, abs=1e-3)


def test_with_open_gates_the_texts_read_each_other(network: SplitBert) -> None:
    open_score = run(network, QUERY, DOCUMENT)
    with torch.no_grad():
        network.gates.fill_(-1e4)
    assert abs(run(network, QUERY, DOCUMENT) - open_score) > 1e-3


@needs_onednn
@pytest.mark.parametrize("packed", [False, True])
def test_a_long_pair_scores_as_a_short_one(
    network: SplitBert, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad():
        for part in (network.gates, network.segments):
            part.normal_()
    if packed:
        packing.pack(network)
    pairs = [(QUERY, DOCUMENT, 0), (QUERY, DOCUMENT, 3), ([1, 2], DOCUMENT * 7, 1)]
    scores = []
    for long in (1, 10**6):
        monkeypatch.setattr(bert_layout, "LONG", long)
        scores.append([run(network, *pair) for pair in pairs])
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert len({round(score, 4) for score in scores[0]}) == 2  # padding alone changes nothing


def test_padding_changes_nothing(network: SplitBert) -> None:
    scores = [run(network, QUERY, DOCUMENT, pad) for pad in (0, 5)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_a_text_scores_among_others_as_it_does_alone(network: SplitBert) -> None:
    with torch.no_grad():
        for part in (network.gates, network.segments):
            part.normal_()
    pairs = [(QUERY, DOCUMENT), (QUERY * 3, [1, 2]), ([1, 12, 2], DOCUMENT * 6)]
    longest = max(len(query) + len(document) for query, document in pairs)
    ids, types, mask = (torch.zeros(3, longest, dtype=torch.long) for _ in range(3))
    for row, (query, document) in enumerate(pairs):
        end = len(query) + len(document)
        ids[row, :end] = torch.tensor([*query, *document])
        types[row, len(query) : end] = 1
        mask[row, :end] = 1
    with torch.inference_mode():
        scores = network(ids, types, mask).logits[:, 0].tolist()
    assert scores == pytest.approx([run(network, *pair) for pair in pairs], abs=1e-5)


def test_the_fused_kernel_and_the_one_with_a_gradient_agree(network: SplitBert) -> None:
    ids = torch.tensor([[*QUERY, *DOCUMENT]])
    types = torch.tensor([[0] * len(QUERY) + [1] * len(DOCUMENT)])
    with_gradient = network(ids, types, torch.ones_like(ids)).logits
    assert with_gradient.item() == pytest.approx(run(network, QUERY, DOCUMENT), abs=1e-5)
    with_gradient.sum().backward()
    assert network.gates.grad is not None
    assert network.gates.grad.abs().sum() > 0


def test_both_kernels_score_alike(network: SplitBert) -> None:
    fused = run(network, QUERY, DOCUMENT, 5)
    assert network.config._attn_implementation == "sdpa"
    network.config._attn_implementation = "eager"
    assert run(network, QUERY, DOCUMENT, 5) == pytest.approx(fused, abs=1e-5)


def test_a_document_of_nothing_has_a_score(network: SplitBert) -> None:
    assert np.isfinite(run(network, QUERY, [1, 2]))


def test_bfloat16_stays_near_float32(network: SplitBert) -> None:
    exact = run(network, QUERY, DOCUMENT)
    assert run(network.to(torch.bfloat16), QUERY, DOCUMENT) == pytest.approx(exact, abs=0.15)
