"""Where a model's files lie: local folder, installed package, hub cache, hub; in that order.

Nothing found here is trusted: sizes and digests are checked where they are known, weights
are safetensors (a catalogued exception is read as plain tensors), and the role is read off
the weights' own configuration.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from reranker.errors import ModelUnavailable
from reranker.hub.catalog import ModelCard

_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "1_*/*", "2_*/*", "3_*/*"]
_TOKENIZERS = [
    *("tokenizer.json", "vocab.txt", "vocab.json"),
    *("sentencepiece.bpe.model", "spiece.model", "tokenizer.model"),
]
_HEAD_FILES = ["colbert_linear.pt", "sparse_linear.pt"]
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A folder with a model's files, the weights among them, and a digest that stands for those."""

    folder: Path
    weights: Path
    digest: str


def locate(card: ModelCard, *, offline: bool) -> ModelFiles:
    """Find a model's files, downloading them if need be and allowed.

    Raises:
        ModelUnavailable: they cannot be had, or are not what they should be; says what to do.
    """
    folder = _folder(card, offline=offline)
    weights = _weights(card, folder)
    digest = sha256_of(weights)
    if card.sha256 is not None and digest != card.sha256.lower():
        raise ModelUnavailable(
            f"the weights of model {card.id!r} do not have the expected sha256; fetch them again",
            detail=f"{weights}: {digest}, expected {card.sha256}",
        )
    check_role(card, folder)
    if not _has_tokenizer(folder):  # the library would make up one that knows no word
        raise ModelUnavailable(f"model {card.id!r} has no tokenizer", detail=str(folder))
    return ModelFiles(folder, weights, digest)


def _folder(card: ModelCard, *, offline: bool) -> Path:
    if card.path is not None:
        if not card.path.is_dir():
            raise ModelUnavailable(
                f"the folder of model {card.id!r} does not exist", detail=str(card.path)
            )
        return card.path
    if card.package is not None and (folder := _package_folder(card)) is not None:
        return folder
    if card.repo is None:
        hint = f"; install it with: {card.install}" if card.install else ""
        raise ModelUnavailable(f"model {card.id!r} is not installed{hint}")
    return _from_hub(card, offline=offline)


def _package_folder(card: ModelCard) -> Path | None:
    """Find the package's folder without importing it: only its data is wanted."""
    assert card.package is not None
    found = importlib.util.find_spec(card.package)
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / card.package_folder
    return folder if folder.is_dir() else None


def _from_hub(card: ModelCard, *, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    assert card.repo is not None
    patterns = [
        *_FILES,
        *(_HEAD_FILES if card.heads else []),
        *([card.weights] if card.weights else []),
    ]
    fetch = partial(
        snapshot_download, card.repo, revision=card.revision, allow_patterns=patterns, dry_run=False
    )
    ways = "put it in a folder and map it in the config"
    if card.install:
        ways += f", or install it with: {card.install}"
    try:
        folder = Path(fetch(local_files_only=True))
        if offline or _is_complete(card, folder):  # an interrupted download is not
            return folder
    except (OSError, ValueError) as error:  # not there, or no name that a repo can have
        if offline:
            raise ModelUnavailable(
                f"model {card.id!r} is not on this machine and downloads are off (offline); {ways}"
            ) from error
    try:
        return Path(fetch())
    except Exception as error:  # the hub client raises errors of several libraries
        raise ModelUnavailable(
            f"model {card.id!r} could not be downloaded from {card.repo}; {ways}", detail=str(error)
        ) from error


def _is_complete(card: ModelCard, folder: Path) -> bool:
    """Whether a folder of the hub's cache has all that loading needs."""
    index = folder / "model.safetensors.index.json"
    needed = ["config.json", *(_HEAD_FILES if card.heads else [])]
    if card.role == "bi-encoder" and card.pooling is None:
        needed.append("modules.json")
    try:
        if (folder / "modules.json").is_file():
            modules = json.loads((folder / "modules.json").read_text("utf-8"))
            pooling = [each["path"] for each in modules if each["type"].endswith("Pooling")]
            needed += [f"{path}/config.json" for path in pooling]
        if not (folder / "model.safetensors").is_file() and index.is_file():
            needed += set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return (
        _find_weights(card, folder) is not None
        and _has_tokenizer(folder)
        and all((folder / name).is_file() for name in needed)
    )


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _TOKENIZERS)


def _find_weights(card: ModelCard, folder: Path) -> Path | None:
    """Return the weights file, of several shards their index; None if there is none to trust."""
    names = ["model.safetensors", "model.safetensors.index.json", card.weights]
    return next((folder / name for name in names if name and (folder / name).is_file()), None)


def _weights(card: ModelCard, folder: Path) -> Path:
    found = _find_weights(card, folder)
    if found is not None:
        return found
    raise ModelUnavailable(
        f"model {card.id!r} has no model.safetensors, and pickled weights are not read: "
        "convert them first",
        detail=str(folder),
    )


def check_role(card: ModelCard, folder: Path) -> None:
    """Refuse a model whose own configuration says that it plays the other role.

    Raises:
        ModelUnavailable: with the reason.
    """
    config = read_json(card, folder / "config.json")
    names = config.get("architectures") or ["an unnamed architecture"]
    classifies = any(str(name).endswith("ForSequenceClassification") for name in names)
    if card.role == "bi-encoder" and classifies:
        raise ModelUnavailable(
            f"model {card.id!r} is a cross-encoder ({names[0]}) and cannot serve as a bi-encoder"
        )
    if card.role == "cross-encoder" and not classifies:
        raise ModelUnavailable(
            f"model {card.id!r} is no cross-encoder: its architecture is {names[0]}, "
            "where one that ends in ForSequenceClassification is needed"
        )
    # The library writes no labels down where there are two of them.
    labels = len(config.get("id2label") or ()) or config.get("num_labels", 2)
    if card.role == "cross-encoder" and labels != 1:
        raise ModelUnavailable(f"model {card.id!r} has {labels} labels; a reranker has one")


def read_json(card: ModelCard, path: Path) -> dict[str, Any]:
    """Read a JSON file of a model's folder.

    Raises:
        ModelUnavailable: it is missing or broken.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelUnavailable(f"model {card.id!r} has no {path.name}", detail=str(path)) from error
    except (OSError, ValueError) as error:
        raise ModelUnavailable(
            f"{path.name} of model {card.id!r} is broken", detail=str(path)
        ) from error
    return data if isinstance(data, dict) else {}


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
