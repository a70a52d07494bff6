"""From a model's files to a model that runs. The only place that constructs networks."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.utils.tqdm import enable_progress_bars
from safetensors import SafetensorError
from safetensors.torch import load_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
from transformers.utils.logging import disable_progress_bar

from reranker.errors import ModelUnavailable
from reranker.models.bi_encoder import SentenceBiEncoder
from reranker.models.catalog import ModelCard
from reranker.models.cross_encoder import PairCrossEncoder
from reranker.models.hardware import Hardware
from reranker.models.network import Heads
from reranker.models.sources import Source, sha256_of

# Raised for a file that is not what its name says: cut short, of other shapes, no tensors.
_BROKEN = (SafetensorError, OSError, ValueError, KeyError, RuntimeError, EOFError)

# No bar for reading weights, which is quick; downloads keep theirs.
disable_progress_bar()  # type: ignore[no-untyped-call]
enable_progress_bars()


def load_bi_encoder(
    card: ModelCard, source: Source, hardware: Hardware, cache_bytes: int
) -> SentenceBiEncoder:
    """Load a bi-encoder in evaluation mode.

    Raises:
        ModelUnavailable: its files are broken, or it does not say how it pools.
    """
    try:
        model = _sentence_transformer(card, source.folder)
        heads = _heads(card, source.folder)
    except _BROKEN as error:
        raise _broken(card, source) from error
    if card.max_tokens is not None:
        model.max_seq_length = min(card.max_tokens, model.max_seq_length or card.max_tokens)
    return SentenceBiEncoder(card.id, model, source.digest, hardware, heads, cache_bytes)


def load_cross_encoder(
    card: ModelCard, source: Source, hardware: Hardware, cache_bytes: int
) -> PairCrossEncoder:
    """Load a cross-encoder in evaluation mode.

    Raises:
        ModelUnavailable: its files are broken.
    """
    try:
        model = CrossEncoder(str(source.folder), **_load_options(card))
    except _BROKEN as error:
        raise _broken(card, source) from error
    window = min(filter(None, (card.max_tokens, model.max_seq_length)), default=None)
    return PairCrossEncoder(
        card.id, model.model, model.tokenizer, source.digest, hardware, window, cache_bytes
    )


def load_overlay(
    card: ModelCard, base: Source, hardware: Hardware, cache_bytes: int
) -> PairCrossEncoder:
    """Load a cross-encoder whose trained layers are laid over the weights of a base model.

    The embeddings were frozen in training and are the base's own, so only the layers above
    them are shipped, in float16.

    Raises:
        ModelUnavailable: the overlay or the base is broken, or the two do not fit.
    """
    assert card.overlay is not None
    folder = Path(str(files("reranker.models") / "embedded" / card.overlay))
    weights = folder / "overlay.safetensors"
    try:
        config = BertConfig.from_pretrained(folder)
        model = BertForSequenceClassification(config)
        trained = {name: part.float() for name, part in load_file(weights).items()}
        under = {
            f"bert.{name}": part
            for name, part in load_file(base.folder / "model.safetensors").items()
        }
        missing = model.load_state_dict({**under, **trained}, strict=False).missing_keys
        if missing:
            raise ValueError(f"no weights for {missing[0]}")
        tokenizer = AutoTokenizer.from_pretrained(base.folder)
    except _BROKEN as error:
        raise _broken(card, Source(folder, "")) from error
    digest = f"{base.digest}+{sha256_of(weights)}"
    return PairCrossEncoder(
        card.id, model, tokenizer, digest, hardware, card.max_tokens, cache_bytes
    )


def _sentence_transformer(card: ModelCard, folder: Path) -> SentenceTransformer:
    if (folder / "modules.json").is_file():
        return SentenceTransformer(str(folder), **_load_options(card))
    if card.pooling is None:
        raise ModelUnavailable(
            f"model {card.id!r} has no modules.json, so how it pools is unknown: "
            'set pooling = "cls" or "mean" for it in the config'
        )
    network = Transformer(str(folder), model_kwargs={"use_safetensors": True})
    pooling = Pooling(network.get_embedding_dimension(), card.pooling)
    return SentenceTransformer(modules=[network, pooling, Normalize()], device="cpu")


def _load_options(card: ModelCard) -> dict[str, Any]:
    """Return options that keep the network out and pickled code unread."""
    return {
        "device": "cpu",
        "local_files_only": True,
        "trust_remote_code": False,
        # transformers reads a .bin with weights_only=True; only a catalogued card asks for one.
        "model_kwargs": {"use_safetensors": card.weights is None, "dtype": torch.float32},
    }


def _heads(card: ModelCard, folder: Path) -> Heads | None:
    if not card.heads:
        return None
    return Heads(_linear(folder / "colbert_linear.pt"), _linear(folder / "sparse_linear.pt"))


def _linear(path: Path) -> torch.nn.Linear:
    """Read a linear layer saved as a plain state dict; anything but tensors is refused."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    layer = torch.nn.Linear(*reversed(state["weight"].shape))
    layer.load_state_dict(state)
    return layer.eval()


def _broken(card: ModelCard, source: Source) -> ModelUnavailable:
    return ModelUnavailable(
        f"the files of model {card.id!r} are broken or incomplete; fetch them again",
        detail=str(source.folder),
    )
