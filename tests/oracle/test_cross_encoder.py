"""The cross-encoder's logits agree with sentence-transformers' CrossEncoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from support.models import cross_encoder
from support.texts import LONG, ODD, PLAIN

from reranker.runtime.roles import ServedCrossEncoder
from reranker.types import RequestContext

NAMES = ["bert-cross", "xlmr-cross"]
WINDOW = 64
QUERY = "what is the capital of france?"


def score(model: ServedCrossEncoder, query: str, documents: list[str]) -> np.ndarray:
    return model.score(query, documents, max_tokens=10_000, context=RequestContext()).logits


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("query", [QUERY, "a", "  \u4f60\u597d, zebra \U0001f993 "])
def test_logits_equal_those_of_sentence_transformers(
    checkpoint: Callable[[str], Path], name: str, query: str
) -> None:
    theirs = CrossEncoder(str(checkpoint(name)), device="cpu", activation_fn=torch.nn.Identity())
    ours = cross_encoder(checkpoint(name))
    documents = [*PLAIN, *ODD, LONG, ""]
    expected = theirs.predict([(query, document) for document in documents])
    np.testing.assert_allclose(score(ours, query, documents), expected, atol=1e-4, rtol=0)
    assert np.ptp(expected) > 0.1
    ours.close()


@pytest.mark.parametrize("name", NAMES)
def test_of_a_long_document_only_the_document_is_cut(
    checkpoint: Callable[[str], Path], name: str
) -> None:
    theirs = CrossEncoder(str(checkpoint(name)), device="cpu")
    ours = cross_encoder(checkpoint(name))
    query = "learning in paris, " * 4  # under half of the window
    framed = theirs.tokenizer(
        query, LONG, truncation="only_second", max_length=WINDOW, return_tensors="pt"
    )
    with torch.inference_mode():
        expected = theirs.model(**framed).logits.item()
    scored = ours.score(query, [LONG, "short"], max_tokens=10_000, context=RequestContext())
    assert scored.logits[0] == pytest.approx(expected, abs=1e-4)
    assert scored.truncated.tolist() == [True, False]
    assert not scored.query_truncated
    alone = ours.score(query, [LONG], max_tokens=10_000, context=RequestContext()).usage
    assert alone.query_tokens + alone.document_tokens + ours.tokenizer.pair.size == WINDOW
    ours.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_query_that_fills_the_window_leaves_the_document_half_of_it(
    checkpoint: Callable[[str], Path], name: str
) -> None:
    theirs = CrossEncoder(str(checkpoint(name)), device="cpu")
    ours = cross_encoder(checkpoint(name))
    tokenizer = theirs.tokenizer
    special = tokenizer.num_special_tokens_to_add(pair=True)
    query_room = (WINDOW - special) // 2
    ids = tokenizer(LONG, add_special_tokens=False)["input_ids"][:query_room]
    document = tokenizer("the cat sat on the mat", add_special_tokens=False)["input_ids"]
    first, last = tokenizer("a", "b")["input_ids"], tokenizer.sep_token_id
    middle = first[2 : first.index(tokenizer("b", add_special_tokens=False)["input_ids"][0])]
    row = [first[0], *ids, *middle, *document, last]
    inputs = {"input_ids": torch.tensor([row])}
    if "token_type_ids" in tokenizer.model_input_names:
        ones = len(document) + 1
        inputs["token_type_ids"] = torch.tensor([[0] * (len(row) - ones) + [1] * ones])
    with torch.inference_mode():
        expected = theirs.model(**inputs).logits.item()
    scored = ours.score(
        LONG, ["the cat sat on the mat"], max_tokens=10_000, context=RequestContext()
    )
    assert scored.logits[0] == pytest.approx(expected, abs=1e-4)
    assert scored.query_truncated
    assert not scored.truncated[0]
    assert scored.usage.query_tokens == query_room
    ours.close()


@pytest.mark.parametrize("name", NAMES)
def test_max_tokens_cuts_the_document_as_a_shorter_text_would(
    checkpoint: Callable[[str], Path], name: str
) -> None:
    theirs = CrossEncoder(str(checkpoint(name)), device="cpu")
    ours = cross_encoder(checkpoint(name))
    query = theirs.tokenizer(QUERY, add_special_tokens=False)["input_ids"]
    framed = theirs.tokenizer(
        QUERY,
        LONG,
        truncation="only_second",
        max_length=len(query) + 7 + theirs.tokenizer.num_special_tokens_to_add(pair=True),
        return_tensors="pt",
    )
    with torch.inference_mode():
        expected = theirs.model(**framed).logits.item()
    scored = ours.score(QUERY, [LONG], max_tokens=7, context=RequestContext())
    assert scored.logits[0] == pytest.approx(expected, abs=1e-4)
    assert scored.usage.document_tokens == 7
    assert scored.truncated.tolist() == [True]
    ours.close()
