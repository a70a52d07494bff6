"""The tokenizer files of a checkpoint, as old and new versions of the libraries read them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from lab.speed.checkpoints.geometry import Geometry

_SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def write_tokenizer(folder: Path, texts: Iterable[str], geometry: Geometry) -> None:
    """Train a Unigram tokenizer on the texts, framed as XLM-R frames them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    raw: Any = Tokenizer(models.Unigram())
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    size = min(8000, geometry.vocabulary)
    raw.train_from_iterator(
        texts,
        trainers.UnigramTrainer(
            vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    raw.post_processor = processors.TemplateProcessing(
        single="<s>:0 $A:0 </s>:0",
        pair="<s>:0 $A:0 </s>:0 </s>:0 $B:0 </s>:0",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    raw.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": geometry.window}
    names = {"model_input_names": ["input_ids", "attention_mask"]}
    write_json(folder / "tokenizer_config.json", {**config, **names, **_SPECIAL})


def set_window(folder: Path, window: int) -> None:
    """Say in a tokenizer's own file how many tokens its model reads."""
    path = folder / "tokenizer_config.json"
    write_json(path, {**json.loads(path.read_text("utf-8")), "model_max_length": window})


def write_json(path: Path, value: object) -> None:
    """Write a file of a checkpoint, with its folder where that is not there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", "utf-8")


def tokenizer_at(folder: Path) -> Tokenizer:
    """Return a checkpoint's tokenizer, bare."""
    from tokenizers import Tokenizer

    found: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found.no_padding()
    found.no_truncation()
    return found
