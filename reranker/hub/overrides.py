"""What a config file says of a model: another id, a folder, a hub repo, or a table of fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reranker.errors import SettingsError
from reranker.model_card import ModelCard

# What a config file may say of a model; the rest is for models whose files were examined.
CONFIGURABLE: Mapping[str, type] = {
    "path": str,
    "repo": str,
    "revision": str,
    "sha256": str,
    "pooling": str,
    "max_tokens": int,
    "heads": bool,
    "matryoshka": bool,
    "backend": str,
}
POOLINGS = ("cls", "mean")
BACKENDS = ("auto", "torch", "openvino")
_KINDS = {str: "a string", int: "a whole number", bool: "true or false"}


def is_folder(value: str) -> bool:
    """Whether a config file's value stands for a folder."""
    return value.startswith(("/", "./", "../", "~"))


def is_repo(value: str) -> bool:
    """Whether a value reads as a hub repo, `org/name` or `org/name@revision`."""
    organisation, _, name = value.partition("@")[0].partition("/")
    return all(
        part and not part.startswith(".") and all(char.isalnum() or char in "-_." for char in part)
        for part in (organisation, name)
    )


def at_folder(card: ModelCard, folder: str) -> ModelCard:
    """Return the card with its files in a folder, with the heads that lie there."""
    path = Path(folder).expanduser()
    heads = card.heads and (path / "colbert_linear.pt").is_file()
    return replace(_elsewhere(card), path=path, heads=heads, weights=card.weights)


def at_repo(card: ModelCard, repo: str) -> ModelCard:
    """Return the card with its files in a hub repo."""
    name, _, revision = repo.partition("@")
    return replace(_elsewhere(card), repo=name, revision=revision or None)


def from_table(card: ModelCard, table: Mapping[str, Any]) -> ModelCard:
    """Return the card with the fields of a config file's table.

    Raises:
        SettingsError: a key is unknown or a value of the wrong kind; says which.
    """
    for key, value in table.items():
        kind = CONFIGURABLE.get(key)
        if kind is None:
            raise SettingsError(f"unknown key {key!r}; known: {', '.join(sorted(CONFIGURABLE))}")
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise SettingsError(f"{key!r} should be {_KINDS[kind]}")
    if table.get("pooling", POOLINGS[0]) not in POOLINGS:
        raise SettingsError(f"'pooling' should be one of {', '.join(POOLINGS)}")
    if table.get("backend", BACKENDS[0]) not in BACKENDS:
        raise SettingsError(f"'backend' should be one of {', '.join(BACKENDS)}")
    if table.get("max_tokens", 1) < 1:
        raise SettingsError("'max_tokens' should be at least 1")
    if "path" in table:
        card = at_folder(card, table["path"])
    elif "repo" in table and table["repo"] != card.repo:
        card = at_repo(card, table["repo"])
    elif "revision" in table:
        card = replace(_elsewhere(card), repo=card.repo, weights=card.weights, heads=card.heads)
    return replace(card, **{key: value for key, value in table.items() if key != "path"})


def _elsewhere(card: ModelCard) -> ModelCard:
    """Return the card without where its files were and what was known of those files."""
    return replace(
        card,
        path=None,
        package=None,
        package_folder="",
        install=None,
        repo=None,
        revision=None,
        sha256=None,
        weights=None,
        heads=False,
        overlay=None,
        base=None,
    )
