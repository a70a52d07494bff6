"""Reading a checkpoint's files with the libraries, under our rules.

No remote code; weights are safetensors, or a `.bin` that the catalogue allows, read as plain
tensors; the network is out of reach; and one error whatever the libraries raise.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from reranker.errors import ModelUnavailable, RerankerError
from reranker.model_card import Checkpoint, ModelCard


def library_options(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return options of the libraries' constructors that keep to the rules above."""
    weights = checkpoint.require_files()
    return {
        "device": "cpu",
        "local_files_only": True,
        "trust_remote_code": False,
        # transformers reads a .bin with weights_only=True; only a catalogued card leads to one.
        "model_kwargs": {"use_safetensors": weights.suffix != ".bin", "dtype": torch.float32},
    }


@contextmanager
def reading_files(card: ModelCard, folder: Path) -> Iterator[None]:
    """Turn whatever reading a model's files raises into one error that names the model.

    The libraries below raise errors of many kinds, some of them bare `Exception`.
    """
    try:
        with _without_bars():
            yield
    except (RerankerError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelUnavailable(
            f"the files of model {card.id!r} are broken or incomplete; fetch them again",
            detail=f"{folder}: {reason[:200]}",
        ) from error


@contextmanager
def _without_bars() -> Iterator[None]:
    """Draw no bar for reading weights, which is quick; downloads keep theirs."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
