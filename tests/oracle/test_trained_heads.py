"""Dense, sparse and multi-vector outputs agree with FlagEmbedding's own BGE-M3 code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.models import bi_encoder
from support.texts import LONG, ODD, PLAIN

from reranker.families.roles import Encoded
from reranker.types import RequestContext

TEXTS = [*PLAIN, *ODD, "...", LONG]
WINDOW = 64


@pytest.fixture(scope="module", params=["m3", "m3-bin"])
def both(
    request: pytest.FixtureRequest, checkpoint: Callable[[str], Path]
) -> tuple[Encoded, dict[str, Any], Any]:
    from FlagEmbedding import BGEM3FlagModel

    folder = checkpoint(request.param)
    theirs = BGEM3FlagModel(str(folder), use_fp16=False, devices="cpu")
    expected = theirs.encode(
        TEXTS,
        max_length=WINDOW,
        return_dense=True,
        return_sparse=True,
        return_colbert_vecs=True,
    )
    weights = "pytorch_model.bin" if request.param == "m3-bin" else None
    ours = bi_encoder(folder, heads=True, weights=weights)
    made = ours.encode(
        TEXTS, kind="document", max_tokens=None, tokens=True, context=RequestContext()
    )
    ours.close()
    return made, expected, theirs.tokenizer


def test_dense_vectors_agree(both: tuple[Encoded, dict[str, Any], Any]) -> None:
    made, expected, _ = both
    np.testing.assert_allclose(made.vectors, expected["dense_vecs"], atol=1e-4, rtol=0)


def test_lexical_weights_agree_for_every_content_token(
    both: tuple[Encoded, dict[str, Any], Any],
) -> None:
    made, expected, tokenizer = both
    assert made.tokens is not None
    compared = 0
    for text, tokens, wanted in zip(TEXTS, made.tokens, expected["lexical_weights"], strict=True):
        assert tokens.weights is not None
        largest: dict[str, float] = {}
        for token, weight in zip(tokens.ids.tolist(), tokens.weights.tolist(), strict=True):
            largest[str(token)] = max(weight, largest.get(str(token), 0.0))
        found = {token: weight for token, weight in largest.items() if weight > 0}
        content = {
            token: float(weight)
            for token, weight in wanted.items()
            if any(char.isalnum() for char in tokenizer.convert_ids_to_tokens(int(token)))
        }
        assert content.keys() <= found.keys(), text
        for token, weight in found.items():
            assert weight == pytest.approx(float(wanted[token]), abs=1e-4), text
        compared += len(content)
    assert compared > 50


def test_multi_vector_rows_agree_for_every_content_token(
    both: tuple[Encoded, dict[str, Any], Any],
) -> None:
    made, expected, tokenizer = both
    assert made.tokens is not None
    compared = 0
    for text, tokens, wanted in zip(TEXTS, made.tokens, expected["colbert_vecs"], strict=True):
        ids = tokenizer(text, truncation=True, max_length=WINDOW)["input_ids"][1:]
        rows = iter(zip(ids, wanted, strict=True))
        for token, row in zip(tokens.ids.tolist(), tokens.vectors, strict=True):
            # The content tokens are a subsequence of all tokens.
            match = next(vector for other, vector in rows if other == token)
            np.testing.assert_allclose(row, match, atol=1e-4, rtol=0)
            compared += 1
    assert compared > 100


def test_an_unknown_token_has_no_lexical_weight(
    both: tuple[Encoded, dict[str, Any], Any],
) -> None:
    made, _, tokenizer = both
    assert made.tokens is not None
    unknown = [
        weight
        for tokens in made.tokens
        for token, weight in zip(tokens.ids.tolist(), tokens.weights, strict=True)  # type: ignore[arg-type]
        if token == tokenizer.unk_token_id
    ]
    assert unknown
    assert not any(unknown)
