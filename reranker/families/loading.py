"""From a model's files to a model that runs. The only place that constructs networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.utils.tqdm import enable_progress_bars
from safetensors import safe_open
from safetensors.torch import load_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import AutoTokenizer, BertConfig
from transformers.utils.logging import disable_progress_bar

from reranker.backends.cpu_bert.unpad import remove_padding
from reranker.backends.device import Hardware
from reranker.errors import ModelUnavailable, RerankerError
from reranker.families.bi_encoder import SentenceBiEncoder
from reranker.families.bi_encoder_network import Heads
from reranker.families.cross_encoder import PairCrossEncoder
from reranker.families.split_cross_encoder import SplitBert, pair_frame
from reranker.hub.catalog import ModelCard
from reranker.hub.files import ModelFiles, sha256_of

# No bar for reading weights, which is quick; downloads keep theirs.
disable_progress_bar()  # type: ignore[no-untyped-call]
enable_progress_bars()


def load_bi_encoder(
    card: ModelCard, source: ModelFiles, hardware: Hardware, cache_bytes: int
) -> SentenceBiEncoder:
    """Load a bi-encoder in evaluation mode.

    Raises:
        ModelUnavailable: its files are broken, or it does not say how it pools.
    """
    with _files_of(card, source.folder):
        model = _sentence_transformer(card, source)
        remove_padding(getattr(model[0], "auto_model", None))
        heads = _heads(card, source.folder, int(getattr(model.config, "hidden_size", 0)))
    if card.max_tokens is not None:
        model.max_seq_length = min(card.max_tokens, model.max_seq_length or card.max_tokens)
    return SentenceBiEncoder(card.id, model, source.digest, hardware, heads, cache_bytes)


def load_cross_encoder(
    card: ModelCard, source: ModelFiles, hardware: Hardware, cache_bytes: int
) -> PairCrossEncoder:
    """Load a cross-encoder in evaluation mode.

    Raises:
        ModelUnavailable: its files are broken.
    """
    with _files_of(card, source.folder):
        model = CrossEncoder(str(source.folder), **_load_options(source))
        _check_classifier(model.model, source.weights)
        remove_padding(model.model)
    window = min(filter(None, (card.max_tokens, model.max_seq_length)), default=None)
    return PairCrossEncoder(
        card.id, model.model, model.tokenizer, source.digest, hardware, window, cache_bytes
    )


def load_overlay(
    card: ModelCard, base: ModelFiles, hardware: Hardware, cache_bytes: int
) -> PairCrossEncoder:
    """Load a cross-encoder whose trained layers are laid over the weights of a bi-encoder.

    What stayed frozen in training, the embeddings and the lower layers, is the base's own, so
    only the layers above are shipped, in float16.

    Raises:
        ModelUnavailable: the overlay or the base is broken, or the two do not fit.
    """
    assert card.overlay is not None
    folder = Path(str(files("reranker.hub") / "embedded" / card.overlay))
    weights = folder / "overlay.safetensors"
    with _files_of(card, folder):
        under = load_file(base.folder / "model.safetensors")
        config = BertConfig.from_pretrained(folder)
        model = SplitBert.over(config, under, load_file(weights))
        tokenizer = AutoTokenizer.from_pretrained(base.folder)
        tokenizer.backend_tokenizer.post_processor = pair_frame(tokenizer)
    digest = f"{base.digest}+{sha256_of(weights)}"
    return PairCrossEncoder(
        card.id, model, tokenizer, digest, hardware, card.max_tokens, cache_bytes
    )


def _sentence_transformer(card: ModelCard, source: ModelFiles) -> SentenceTransformer:
    options = _load_options(source)
    if (source.folder / "modules.json").is_file():
        return SentenceTransformer(str(source.folder), **options)
    if card.pooling is None:
        raise ModelUnavailable(
            f"model {card.id!r} has no modules.json, so how it pools is unknown: "
            'set pooling = "cls" or "mean" for it in the config'
        )
    network = Transformer(str(source.folder), model_kwargs=options["model_kwargs"])
    pooling = Pooling(network.get_embedding_dimension(), card.pooling)
    return SentenceTransformer(modules=[network, pooling, Normalize()], device="cpu")


def _load_options(source: ModelFiles) -> dict[str, Any]:
    """Return options that keep the network out and pickled code unread."""
    return {
        "device": "cpu",
        "local_files_only": True,
        "trust_remote_code": False,
        # transformers reads a .bin with weights_only=True; only a catalogued card leads to one.
        "model_kwargs": {
            "use_safetensors": source.weights.suffix != ".bin",
            "dtype": torch.float32,
        },
    }


def _check_classifier(network: Any, weights: Path) -> None:
    """Refuse weights without a classifier, in whose place the library would put random numbers."""
    if weights.suffix != ".safetensors":
        return
    body = f"{network.base_model_prefix}."
    wanted = {name for name in network.state_dict() if not name.startswith(body)}
    with safe_open(weights, framework="pt") as file:
        if wanted and wanted.isdisjoint(file.keys()):
            raise ValueError(f"no weights for {min(wanted)}")


def _heads(card: ModelCard, folder: Path, width: int) -> Heads | None:
    if not card.heads:
        return None
    names = ("colbert_linear.pt", "sparse_linear.pt")
    return Heads(*(_linear(folder / name, width) for name in names))


def _linear(path: Path, width: int) -> torch.nn.Linear:
    """Read a linear layer saved as a plain state dict; anything but tensors is refused."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    layer = torch.nn.Linear(*reversed(state["weight"].shape))
    layer.load_state_dict(state)
    if layer.in_features != width:
        raise ValueError(f"{path.name} reads {layer.in_features} numbers, the network has {width}")
    return layer.eval()


@contextmanager
def _files_of(card: ModelCard, folder: Path) -> Iterator[None]:
    """Turn whatever reading a model's files raises into one error that names the model.

    The libraries below raise errors of many kinds, some of them bare `Exception`.
    """
    try:
        yield
    except (RerankerError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelUnavailable(
            f"the files of model {card.id!r} are broken or incomplete; fetch them again",
            detail=f"{folder}: {reason[:200]}",
        ) from error
