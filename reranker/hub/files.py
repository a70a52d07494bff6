"""Where a model's files lie: local folder, installed package, hub cache, hub; in that order.

Nothing found here is trusted: digests are checked where they are known, and weights are
safetensors (a catalogued exception is read as plain tensors).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from functools import partial
from importlib import resources
from pathlib import Path

from reranker.errors import ModelUnavailable, UnusableModel
from reranker.model_card import Checkpoint, ModelCard

_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "1_*/*", "2_*/*", "3_*/*"]
_HEAD_FILES = ["colbert_linear.pt", "sparse_linear.pt"]


def locate(card: ModelCard, *, offline: bool, base: ModelCard | None = None) -> Checkpoint:
    """Find a model's files, downloading them if need be and allowed.

    Args:
        card: of the model.
        offline: never reach for the network.
        base: of the model whose weights an overlay goes over.

    Raises:
        ModelUnavailable: a download failed.
        UnusableModel: they are not here, or not what they should be; says what to do.
    """
    if base is not None and card.overlay is not None:
        under = locate(base, offline=offline)
        overlay = Path(str(resources.files("reranker.hub") / "embedded" / card.overlay))
        digest = f"{under.digest}+{sha256_of(overlay / 'overlay.safetensors')}"
        return Checkpoint(card, under.folder, under.weights, digest, overlay)
    folder = _folder(card, offline=offline)
    weights = _find_weights(card, folder)
    digest = _digest(weights or folder / "config.json")
    if card.sha256 is not None and digest != card.sha256.lower():
        raise UnusableModel(
            f"the weights of model {card.id!r} do not have the expected sha256; fetch them again",
            detail=f"{weights}: {digest}, expected {card.sha256}",
        )
    return Checkpoint(card, folder, weights, digest)


def _folder(card: ModelCard, *, offline: bool) -> Path:
    if card.path is not None:
        if not card.path.is_dir():
            raise UnusableModel(
                f"the folder of model {card.id!r} does not exist", detail=str(card.path)
            )
        return card.path
    if card.package is not None and (folder := _package_folder(card)) is not None:
        return folder
    if card.repo is None:
        hint = f"; install it with: {card.install}" if card.install else ""
        raise UnusableModel(f"model {card.id!r} is not installed{hint}")
    return _from_hub(card, offline=offline)


def _package_folder(card: ModelCard) -> Path | None:
    """Find the package's folder without importing it."""
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
    remedy = "put it in a folder and map it in the config"
    if card.install:
        remedy += f", or install it with: {card.install}"
    try:
        folder = Path(fetch(local_files_only=True))
        if offline or _is_complete(card, folder):  # an interrupted download is not
            return folder
    except (OSError, ValueError) as error:  # not there, or no name that a repo can have
        if offline:
            raise UnusableModel(
                f"model {card.id!r} is not on this machine, and downloads are off (offline); "
                f"{remedy}"
            ) from error
    try:
        return Path(fetch())
    except Exception as error:  # the hub client raises errors of several libraries
        raise ModelUnavailable(
            f"model {card.id!r} could not be downloaded from {card.repo}; {remedy}",
            detail=str(error),
        ) from error


def _is_complete(card: ModelCard, folder: Path) -> bool:
    """Whether a folder of the hub's cache has all that loading needs."""
    index = folder / "model.safetensors.index.json"
    needed = ["config.json", *(_HEAD_FILES if card.heads else [])]
    if card.role == "bi-encoder" and card.pooling is None:
        needed.append("modules.json")
    checkpoint = Checkpoint(card, folder, None, "")
    try:
        pooling = [m["path"] for m in checkpoint.modules if m["type"].endswith("Pooling")]
        needed += [f"{path}/config.json" for path in pooling]
        if not (folder / "model.safetensors").is_file() and index.is_file():
            needed += _shards(index) or [index.name + " without shards"]
    except (ModelUnavailable, KeyError, TypeError, AttributeError):
        return False
    return (
        _find_weights(card, folder) is not None
        and checkpoint.has_tokenizer
        and all((folder / name).is_file() for name in needed)
    )


def _find_weights(card: ModelCard, folder: Path) -> Path | None:
    """Return the weights file, of several shards their index; None if there is none to trust."""
    names = ["model.safetensors", "model.safetensors.index.json", card.weights]
    return next((folder / name for name in names if name and (folder / name).is_file()), None)


def _digest(path: Path) -> str:
    """Return the sha256 of a weights file; of an index, that of all its shards' digests."""
    if not path.is_file():
        return "no files"
    if path.suffix != ".json" or path.name == "config.json":
        return sha256_of(path)
    digest = hashlib.sha256(path.read_bytes())
    for name in sorted(_shards(path)):
        shard = path.parent / name
        digest.update(sha256_of(shard).encode() if shard.is_file() else b"missing")
    return digest.hexdigest()


def _shards(index: Path) -> set[str]:
    """Return the names of the weight files that an index lists."""
    try:
        listed = json.loads(index.read_text("utf-8"))["weight_map"].values()
        return {str(name) for name in listed}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
