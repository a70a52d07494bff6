"""Served models in the roles that stages ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from reranker.families.base import EmbedOptions, Role, ScoreOptions
from reranker.families.records import EmbeddingRecord, ScoreRecord
from reranker.families.roles import Encoded, Scored
from reranker.runtime.served_model import ServedModel
from reranker.types import RequestContext, Usage


class ServedBiEncoder(ServedModel[EmbedOptions, EmbeddingRecord]):
    """A model in the role `BiEncoder`."""

    role: Role = "bi-encoder"

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "document"],
        max_tokens: int | None,
        tokens: bool,
        context: RequestContext,
    ) -> Encoded:
        """Encode texts; see `BiEncoder.encode`."""
        done = self.complete(EmbedOptions(kind, max_tokens, tokens), texts, context)
        records, order = done.records, done.distinct
        vectors = [record.token_vectors() for record in records] if tokens else []
        return Encoded(
            vectors=np.stack([record.vector for record in records])[order],
            tokens=tuple(vectors[i] for i in order) if tokens else None,
            truncated=np.array([record.truncated for record in records], dtype=np.bool_)[order],
            distinct=order,
            usage=Usage(
                **{f"{kind}_tokens": sum(record.count for record in records)}, cached=done.cached
            ),
        )


class ServedCrossEncoder(ServedModel[ScoreOptions, ScoreRecord]):
    """A model in the role `CrossEncoder`."""

    role: Role = "cross-encoder"

    def score(
        self, query: str, documents: Sequence[str], *, max_tokens: int, context: RequestContext
    ) -> Scored:
        """Score documents for a query; see `CrossEncoder.score`."""
        done = self.complete(ScoreOptions(query, max_tokens), documents, context)
        records, reading = done.records, done.reading
        return Scored(
            logits=np.array([record.logit for record in records], dtype=np.float32)[done.distinct],
            truncated=np.array([record.truncated for record in records], dtype=np.bool_)[
                done.distinct
            ],
            usage=Usage(reading.query_tokens, sum(record.count for record in records), done.cached),
            query_truncated=reading.query_truncated,
        )
