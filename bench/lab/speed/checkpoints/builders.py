"""Checkpoints that every library can load: the geometry of well-known models.

Speed does not depend on the weights, so the large ones are random (seeded); their scores must
only differ from text to text. Older versions of the libraries read the files as well.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.speed.checkpoints.geometry import MINILM_L6, Geometry
from lab.speed.checkpoints.tokenizer_files import (
    set_window,
    tokenizer_at,
    write_json,
    write_tokenizer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DONE = "complete.2"
"""File that a finished folder has; a new name where what is built changes."""

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json")
_WORDS = 5.0
_SAMPLE = 16
_DEVIATION = 0.5
"""Of the logits that a fresh classifier is scaled to, so that a difference would show."""


def minilm_cross_encoder(folder: Path, texts: Sequence[str]) -> Path:
    """Write a BertForSequenceClassification with all-MiniLM-L6-v2's weights.

    Args:
        folder: where to.
        texts: at least three, on which the fresh classifier is scaled.

    Raises:
        FileNotFoundError: the package of the base model is not installed.
    """

    def build() -> None:
        import torch
        from transformers import BertForSequenceClassification

        from lab.training.base import base_folder

        for name in _TOKENIZER_FILES:
            shutil.copy(base_folder() / name, folder / name)
        set_window(folder, MINILM_L6.window)
        torch.manual_seed(0)  # of the classifier alone; the rest is read
        model: Any = BertForSequenceClassification.from_pretrained(
            base_folder(), num_labels=1, dtype=torch.float32
        )
        _spread(model, model.classifier, folder, texts)
        model.save_pretrained(folder)

    return _once(folder, build)


def xlmr_cross_encoder(folder: Path, geometry: Geometry, texts: Sequence[str]) -> Path:
    """Write an XLMRobertaForSequenceClassification with random weights."""

    def build() -> None:
        import torch
        from transformers import XLMRobertaForSequenceClassification

        torch.manual_seed(0)
        model = XLMRobertaForSequenceClassification(_xlmr_config(geometry, num_labels=1))
        _tell_words_apart(model.roberta)
        write_tokenizer(folder, texts, geometry)
        _spread(model, model.classifier.out_proj, folder, texts)
        model.save_pretrained(folder)

    return _once(folder, build)


def xlmr_bi_encoder(folder: Path, geometry: Geometry, texts: Iterable[str]) -> Path:
    """Write a sentence-transformers folder around a random XLM-R, pooled by its first token."""

    def build() -> None:
        import torch
        from transformers import XLMRobertaModel

        torch.manual_seed(0)
        model = XLMRobertaModel(_xlmr_config(geometry))
        _tell_words_apart(model)
        model.save_pretrained(folder)
        write_tokenizer(folder, texts, geometry)
        parts = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
        modules = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(parts)
        ]
        write_json(folder / "modules.json", modules)
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": geometry.window})
        pooling = {"word_embedding_dimension": geometry.hidden, "pooling_mode_cls_token": True}
        pooling |= {"pooling_mode_mean_tokens": False}
        write_json(folder / "1_Pooling" / "config.json", pooling)
        (folder / "2_Normalize").mkdir(exist_ok=True)

    return _once(folder, build)


def _tell_words_apart(model: Any) -> None:
    """Let words weigh more than positions, or all texts look alike to a random network."""
    import torch

    with torch.no_grad():
        model.embeddings.word_embeddings.weight *= _WORDS


def _spread(model: Any, head: Any, folder: Path, texts: Sequence[str]) -> None:
    """Have a classifier's last layer tell texts apart, as a trained one does.

    It reads the direction in which what reaches it differs most from text to text (the first
    principal component), scaled to logits of mean 0 and deviation `_DEVIATION`. In a direction
    taken at random texts hardly differ, and scaling that up would show little but rounding.
    """
    import torch

    tokenizer = tokenizer_at(folder)
    model.eval()
    reached: list[Any] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: reached.append(inputs[0][0]))
    with torch.no_grad():
        for text in texts[:_SAMPLE]:
            model(torch.tensor([tokenizer.encode(text).ids[:64]]))
        hook.remove()
        rows = torch.stack(reached)
        mean = rows.mean(dim=0)
        direction = torch.linalg.svd(rows - mean, full_matrices=False).Vh[0]
        scale = _DEVIATION / max(float((rows @ direction).std()), 1e-6)
        head.weight.copy_(direction[None] * scale)
        head.bias.copy_(-(mean @ direction)[None] * scale)


def _xlmr_config(geometry: Geometry, **more: Any) -> Any:
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(
        vocab_size=geometry.vocabulary,
        hidden_size=geometry.hidden,
        num_hidden_layers=geometry.layers,
        num_attention_heads=geometry.heads,
        intermediate_size=geometry.inner,
        max_position_embeddings=geometry.window + 2,
        type_vocab_size=1,
        # A layer then keeps the size of its input and mixes tokens, which 0.02 hardly does.
        initializer_range=1.4 / geometry.hidden**0.5,
        **more,
    )


def _once(folder: Path, build: Callable[[], None]) -> Path:
    """Build a folder unless that was done before; an unfinished one is built again."""
    if not (folder / DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _be_quiet()
        build()
        (folder / DONE).touch()
    return folder.resolve()


def _be_quiet() -> None:
    """Keep to itself what transformers says of fresh weights; they are meant to be fresh."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
