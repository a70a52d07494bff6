"""Writing the trained part of a cross-encoder as one small float16 file, with its config."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification

from reranker_bench.training.base import base_weights, cross_encoder_config

OVERLAY = "overlay.safetensors"
_FROZEN = "bert.embeddings."
_FIELDS = (
    "architectures",
    "model_type",
    "attention_probs_dropout_prob",
    "hidden_dropout_prob",
    "classifier_dropout",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layer_norm_eps",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "pad_token_id",
    "type_vocab_size",
    "vocab_size",
)


def config_fields() -> dict[str, Any]:
    """Return the complete configuration of the exported model."""
    base = cross_encoder_config().to_dict()
    identity = {"activation_fn": "torch.nn.modules.linear.Identity"}
    return {
        **{name: base[name] for name in _FIELDS},
        "num_labels": 1,
        "id2label": {"0": "relevance"},
        "label2id": {"relevance": 0},
        "sentence_transformers": identity,
    }


def write_overlay(weights: dict[str, torch.Tensor], folder: Path) -> Path:
    """Write the trained weights (float16) and ``config.json``; return the overlay's path.

    Files are written under a temporary name and renamed, so a reader never sees half of one.

    Args:
        weights: Parameters under the names of BertForSequenceClassification; embeddings, which
            are the base's own, are left out.
        folder: Where to write; made if absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = {k: v.half().contiguous() for k, v in weights.items() if not k.startswith(_FROZEN)}
    temporary = folder / f"{OVERLAY}.tmp"
    save_file(trained, temporary, metadata={"format": "pt"})
    temporary.replace(folder / OVERLAY)
    text = json.dumps(config_fields(), indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    return folder / OVERLAY


def read_overlay(folder: Path) -> BertForSequenceClassification:
    """Return the base model with an overlay on top, in float32 and evaluation mode.

    Raises:
        ValueError: The overlay does not hold exactly the parameters outside the embeddings.
    """
    model = BertForSequenceClassification(cross_encoder_config())
    weights = load_file(folder / OVERLAY)
    wanted = {k for k in model.state_dict() if not k.startswith(_FROZEN)}
    if set(weights) != wanted:
        raise ValueError(f"{folder / OVERLAY}: differs in {sorted(wanted ^ set(weights))[:5]}")
    raised = {k: v.float() for k, v in weights.items()}
    model.load_state_dict({**base_weights(), **raised}, strict=False)
    model.train(False)
    return model
