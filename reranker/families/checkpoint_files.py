"""Reading a checkpoint's files with the libraries, under our rules.

No remote code; weights are safetensors, or a `.bin` that the catalogue allows, read as plain
tensors; the network is out of reach; no weight is made up; and one error whatever the libraries
raise.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from reranker.errors import RerankerError, UnusableModel
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


def require_all_weights(
    network: Any, checkpoint: Checkpoint, folder: Path, unread: Sequence[str] = ()
) -> None:
    """Refuse a checkpoint that lacks a weight, in whose place the libraries put random numbers.

    The libraries' own loader compares the names of all weight files with the network's, here on
    torch's meta device, which takes no memory and reads no numbers.

    Args:
        network: of transformers, as it was loaded.
        checkpoint: that it was loaded from.
        folder: of the checkpoint, with the network's files.
        unread: prefixes of weights that nobody reads.

    Raises:
        UnusableModel: with the name of a missing weight.
    """
    options = library_options(checkpoint)
    kept = {name: options[name] for name in ("local_files_only", "trust_remote_code")}
    _, report = type(network).from_pretrained(
        folder, output_loading_info=True, device_map="meta", **kept, **options["model_kwargs"]
    )
    missing = sorted(n for n in report["missing_keys"] if not n.startswith(tuple(unread)))
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UnusableModel(
            f"the weights of model {checkpoint.card.id!r} lack {missing[0]!r}{more}; "
            "they were saved without it, or for another architecture",
            detail=str(folder),
        )


@contextmanager
def reading_files(card: ModelCard, folder: Path) -> Iterator[None]:
    """Turn whatever reading a model's files raises into one error that names the model.

    The libraries below raise errors of many kinds, some of them bare `Exception`.
    """
    try:
        with _quiet:
            yield
    except (RerankerError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UnusableModel(
            f"the files of model {card.id!r} are broken or incomplete; fetch them again",
            detail=f"{folder}: {reason[:200]}",
        ) from error


class _Quiet:
    """Keeps the library's bars and reports of loading from the terminal; errors are raised anyway.

    The settings are the process's: where models load at the same time, the first load changes them
    and the last one restores what the program around us had set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = (True, 0)

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before = (logging.is_progress_bar_enabled(), logging.get_verbosity())
                logging.disable_progress_bar()  # type: ignore[no-untyped-call]
                logging.set_verbosity_error()  # type: ignore[no-untyped-call]

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                shown, level = self._before
                logging.set_verbosity(level)
                if shown:
                    logging.enable_progress_bar()  # type: ignore[no-untyped-call]


_quiet = _Quiet()
