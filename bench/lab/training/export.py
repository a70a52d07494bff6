"""Writing the trained part of a cross-encoder as one small float16 file, with its config."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from lab.training.base import base_weights, cross_encoder_config
from reranker.families.split_cross_encoder.network import SplitBert

OVERLAY = "overlay.safetensors"
_FIELDS = (
    "architectures",
    "model_type",
    "attention_probs_dropout_prob",
    "hidden_dropout_prob",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "layers_apart",
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


def write_overlay(model: SplitBert, folder: Path) -> Path:
    """Write the trained weights (float16) and ``config.json``; return the overlay's path.

    Embeddings and lower layers are the base's own and are left out. Files are written under a
    temporary name and renamed, so a reader never sees half of one.

    Args:
        model: The cross-encoder.
        folder: Where to write; created if absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v for k, v in model.state_dict().items() if not model.frozen(k)}
    trained = {k: v.half().contiguous() for k, v in weights.items()}
    temporary = folder / f"{OVERLAY}.tmp"
    save_file(trained, temporary, metadata={"format": "pt"})
    temporary.replace(folder / OVERLAY)
    text = json.dumps(config_fields(), indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    return folder / OVERLAY


def read_overlay(folder: Path) -> SplitBert:
    """Return the base model with an overlay on top, in float32 and evaluation mode.

    Raises:
        ValueError: The overlay does not fit the base.
    """
    return SplitBert.over(cross_encoder_config(), base_weights(), load_file(folder / OVERLAY))
