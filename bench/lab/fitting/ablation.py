"""Ablation: nDCG@10 of sets of terms, on collections that their weights were not fitted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reranker_bench.tuning.weights import fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reranker.pipeline.fusion import WeightedSum
    from reranker_bench.tuning.features import Table

ADDED_IN_TURN = (
    ("cosine",),
    ("cosine", "attention"),
    ("cosine", "attention", "subspace"),
    ("cosine", "attention", "subspace", "lexical"),
    ("cosine", "attention", "subspace", "lexical", "feedback"),
)
OTHER_SETS = (
    ("attention",),
    ("subspace",),
    ("lexical",),
    ("cosine", "subspace"),
    ("cosine", "lexical"),
    ("cosine", "attention", "lexical"),
    ("cosine", "attention", "feedback"),
)
PLACEBOS = (
    ("cosine", "attention_shuffled"),
    ("cosine", "subspace_of_another"),
    ("cosine", "length"),
    ("cosine", "attention", "subspace_of_another"),
    ("cosine", "attention", "length"),
)
WITH_CROSS = (
    ("cross_encoder",),
    ("cosine", "cross_encoder"),
    ("cosine", "attention", "cross_encoder"),
    ("cosine", "attention", "subspace", "cross_encoder"),
    ("cosine", "attention", "lexical", "cross_encoder"),
    ("cosine", "attention", "subspace", "lexical", "cross_encoder"),
)


def ndcg_of(fusion: WeightedSum, table: Table) -> dict[str, float]:
    """Return nDCG@10 of each query for a fusion."""
    return table.ndcg(fusion.fuse(table.values))


def left_out(
    tables: Sequence[Table], names: Sequence[str], pull: float
) -> dict[str, dict[str, float]]:
    """Return each collection's nDCG@10 a query, with weights fitted on the others."""
    return {
        table.sample.name: ndcg_of(
            fit([other for other in tables if other is not table], names, pull), table
        )
        for table in tables
    }
