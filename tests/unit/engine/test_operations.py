"""Vectors and tokens from the engine's front door."""

from __future__ import annotations

import numpy as np
import pytest
from support.fakes import FakeModels

from reranker import InvalidRequest, Reranker, Settings
from reranker.operations.embedding import EmbedRequest
from reranker.tokenization.tokenizer import TextTokenizer


@pytest.fixture
def reranker():
    return Reranker(Settings(), FakeModels())


def test_a_text_is_a_unit_vector_and_its_tokens_are_counted(reranker):
    made = reranker.embed(["a b", "c"])
    assert made.vectors.shape == (2, 32)
    assert np.allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-5)
    assert made.usage.total_tokens == 3
    assert made.model == "fake-bi"


def test_the_kind_reaches_the_model(reranker):
    reranker.embed(["a"], kind="query")
    assert reranker.models.bi.calls[-1][0] == "query"


def test_what_cannot_be_embedded(reranker):
    for texts in ("a text", []):
        with pytest.raises(InvalidRequest):
            reranker.embed(texts)
    with pytest.raises(InvalidRequest, match="dimensions of 32 alone"):
        reranker.embed(["a"], dimensions=8)
    with pytest.raises(InvalidRequest, match="vocabulary"):
        reranker.embed_request(EmbedRequest(((1, 2),), "bi"))
    with pytest.raises(InvalidRequest, match="tokenizer"):
        reranker.tokenize(["a"])


def test_pieces_show_ids_and_places_and_lead_back_to_the_text():
    from support.checkpoints import wordpiece

    tokenizer = TextTokenizer(wordpiece().backend_tokenizer)
    text = "the capital of france"
    framed = tokenizer.pieces(text, special=True)
    bare = tokenizer.pieces(text, special=False)
    assert framed[1:-1] == bare
    assert framed[0].special
    assert framed[-1].special
    assert "".join(text[start:end] for start, end in (piece.span for piece in bare)) == (
        text.replace(" ", "")
    )
    assert tokenizer.text_of([piece.id for piece in framed]) == text
    assert tokenizer.text_of([10**6]) is None
    assert tokenizer.text_of([-1]) is None
