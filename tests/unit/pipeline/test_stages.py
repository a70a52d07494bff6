"""The ready-made stages on fakes, and the scales of their values."""

from __future__ import annotations

import numpy as np
import pytest
from support.fakes import FakeBiEncoder, FakeCrossEncoder

from reranker.pipeline.pipeline import Candidates
from reranker.pipeline.stages import (
    FIRST_PASS_FACTOR,
    BiEncoderStage,
    CrossEncoderStage,
    cosine_scale,
    search,
    sigmoid_scale,
)
from reranker.types import Document, RerankRequest, Usage

TEXTS = ["a red fox", "a dog", "a red fox", "the quick red fox"]


def candidates(texts: list[str] = TEXTS, query: str = "red fox", **fields: int) -> Candidates:
    documents = tuple(map(Document.of, texts))
    request = RerankRequest(query=query, documents=documents, model="m", **fields)  # type: ignore[arg-type]
    return Candidates(request, np.arange(len(texts)))


def test_a_bi_encoder_stage_returns_cosines_embeddings_and_what_it_read() -> None:
    model = FakeBiEncoder()
    output = BiEncoderStage(model)(candidates())
    assert output.query_embedding is not None
    assert output.embeddings is not None
    expected = output.embeddings.vectors @ output.query_embedding.vectors[0]
    assert output.values == pytest.approx(expected, abs=1e-6)
    assert output.values[0] == output.values[2]
    assert output.embeddings.tokens is None
    assert output.query_embedding.tokens is None
    assert output.usage == model.usage == Usage(2, 9)
    assert output.warnings == ()


def test_texts_reach_the_model_as_they_are_for_it_alone_finds_equal_ones() -> None:
    seen: list[list[str]] = []

    class Watched(FakeBiEncoder):
        def encode(self, texts, **options):  # type: ignore[no-untyped-def]
            seen.append(list(texts))
            return super().encode(texts, **options)

    BiEncoderStage(Watched())(candidates())
    assert seen == [["red fox"], TEXTS]


@pytest.mark.parametrize(("spare", "kept"), [(0, True), (1, False)])
def test_token_vectors_of_documents_are_kept_for_short_lists_only(spare: int, kept: bool) -> None:
    texts = [f"text {i}" for i in range(FIRST_PASS_FACTOR * 3 + spare)]
    output = BiEncoderStage(FakeBiEncoder(), tokens=True)(candidates(texts, stage1_top_k=3))
    assert output.query_embedding is not None
    assert output.query_embedding.tokens is not None
    assert output.embeddings is not None
    assert (output.embeddings.tokens is not None) == kept


def test_a_cross_encoder_stage_returns_logits_and_what_it_read() -> None:
    model = FakeCrossEncoder()
    output = CrossEncoderStage(model)(candidates())
    assert output.values.tolist() == [3.0, -2.0, 3.0, 2.0]
    assert output.usage == model.usage == Usage(2, 9)
    assert output.embeddings is None


def test_cut_documents_and_queries_are_reported() -> None:
    long = candidates(query="red fox " * 60, max_tokens_per_doc=3)
    for model in (FakeBiEncoder(), FakeCrossEncoder()):
        kind = BiEncoderStage if isinstance(model, FakeBiEncoder) else CrossEncoderStage
        output = kind(model)(long)  # type: ignore[arg-type]
        assert output.truncated is not None
        assert output.truncated.tolist() == [False, False, False, True]
        assert output.query_truncated
        assert output.warnings == (
            f"the query is longer than {model.name} can read; only its beginning was used",
        )


def test_search_gives_each_vector_the_same_product_alone_and_in_company():
    vectors = np.random.default_rng(0).normal(size=(333, 384)).astype(np.float32)

    together = search(vectors[0], vectors)

    alone = [search(vectors[0], vectors[i : i + 1])[0] for i in range(len(vectors))]
    assert together.tolist() == alone
    assert together == pytest.approx(vectors @ vectors[0], rel=1e-4, abs=1e-4)


def test_scales_stay_within_zero_and_one() -> None:
    wild = np.array([-1e9, -1.0000001, -1.0, 0.0, 1.0, 1.0000001, 1e9])
    for scale in (cosine_scale, sigmoid_scale):
        scores = scale(wild)
        assert (scores >= 0).all()
        assert (scores <= 1).all()
        assert (np.diff(scores) >= 0).all()
    assert cosine_scale(np.array([-1.0, 0.0, 1.0])).tolist() == [0.0, 0.5, 1.0]
    assert sigmoid_scale(np.array([0.0])).tolist() == [0.5]
