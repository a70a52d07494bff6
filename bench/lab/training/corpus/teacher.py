"""The soft target: the frozen bi-encoder's cosine and soft late interaction, half each.

The soft late interaction of a query token is sum_j softmax_j(c_ij / tau) c_ij over the document's
tokens, with c the cosine of token vectors; tau -> 0 is the MaxSim of ColBERT (Khattab and Zaharia,
2020). A pair's score is its mean over query tokens, weighted by idf.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertModel

from lab.training.corpus.passages import TokenTable

TAU = 0.05
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PairScore:
    """One pair's teacher scores and how well each token of the document is matched.

    Attributes:
        cosine: Cosine of the mean token vectors.
        attention: Soft late interaction, weighted by idf.
        document_match: (document tokens,): the maximum similarity of each document token.
    """

    cosine: float
    attention: float
    document_match: Floats


def score(query: Floats, document: Floats, weights: Floats) -> PairScore:
    """Score one pair.

    Args:
        query: (n, width) token vectors.
        document: (m, width) token vectors.
        weights: (n,) non-negative weights of the query's tokens.
    """
    pooled_query, pooled_document = query.mean(axis=0), document.mean(axis=0)
    norm = float(np.linalg.norm(pooled_query) * np.linalg.norm(pooled_document))
    similarity = _unit(query) @ _unit(document).T
    share = np.exp((similarity - similarity.max(axis=1, keepdims=True)) / TAU)
    match = (share * similarity).sum(axis=1) / share.sum(axis=1)
    total = max(float(weights.sum()), 1e-9)
    return PairScore(
        cosine=float(pooled_query @ pooled_document) / max(norm, 1e-9),
        attention=float(match @ weights) / total,
        document_match=similarity.max(axis=0).astype(np.float32),
    )


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit


def write_vectors(
    bert: BertModel,
    table: TokenTable,
    out: NDArray[np.float16],
    progress: Callable[[int], None],
    batch_tokens: int = 4096,
) -> None:
    """Fill ``out`` (total tokens, width) with the bi-encoder's token vectors, in float16.

    Args:
        bert: The frozen bi-encoder, a ``BertModel``.
        table: The texts' tokens.
        out: Where to write; may be memory-mapped.
        progress: Called with the number of texts finished so far.
        batch_tokens: Padded tokens per batch.
    """
    lengths = np.diff(table.offsets)
    order = np.argsort(lengths, kind="stable")
    done = 0
    while done < len(order):
        longest = int(lengths[order[min(done + 127, len(order) - 1)]]) + 2
        batch = order[done : done + max(1, min(128, batch_tokens // longest))]
        states = _encode_batch(bert, table, batch)
        for row, index in enumerate(batch):
            span = table.span(int(index))
            out[span] = states[row, 1 : 1 + span.stop - span.start]
        done += len(batch)
        progress(done)


def _encode_batch(
    bert: BertModel, table: TokenTable, batch: NDArray[np.int64]
) -> NDArray[np.float16]:
    rows = [table.tokens[table.span(int(i))] for i in batch]
    ids = torch.zeros(len(rows), max(len(r) for r in rows) + 2, dtype=torch.long)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    for row, tokens in enumerate(rows):
        framed = np.concatenate([[CLS], tokens, [SEP]])
        ids[row, : len(framed)] = torch.from_numpy(framed)
        mask[row, : len(framed)] = True
    with torch.inference_mode():
        states: torch.Tensor = bert(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    return states.numpy().astype(np.float16)


CLS, SEP = 101, 102
"""The base vocabulary's ids of [CLS] and [SEP]."""
