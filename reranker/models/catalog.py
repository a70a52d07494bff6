"""Which models there are: cards as data, and the ids that lead to them.

The shipped cards stand in `catalog.toml`; a config file adds to them or maps an id to another:

    [bi-encoders]
    "bge-reranker-v2-m3" = "all-MiniLM-L6-v2"       # another id
    "ours" = "/models/ours"                         # a folder
    "e5" = { repo = "intfloat/e5-base-v2", revision = "..." }
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from reranker.errors import SettingsError, UnknownModel
from reranker.models.roles import Role

DEFAULT_BI_ENCODER = "all-MiniLM-L6-v2"
DEFAULT_CROSS_ENCODER = "minilm-l6-cross-encoder"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Where a model comes from and what it is.

    Attributes:
        id: the name it is reported under.
        role: what it is used as.
        aliases: further ids.
        path: a local folder; looked at first.
        package: an installed package that carries it in `package_folder`; looked at second.
        install: the command that installs the package.
        repo: on the hub, at `revision`; the local hub cache is looked at before the network.
        revision: commit of the repo.
        sha256: of `model.safetensors`, checked before it is read.
        weights: the weights file, where it is not safetensors; allowed for catalogued models only.
        heads: whether multi-vector and sparse heads lie beside the weights.
        overlay: trained layers shipped with this package, laid over the weights of `base`.
        base: id of the model that an overlay goes over.
        pooling: for a bi-encoder folder without a `modules.json`: "cls" or "mean".
        max_tokens: bounds the window that the model declares.
        matryoshka: whether it was trained so that vectors may be cut short.
        license: of the weights.
        languages: it was made for.
    """

    id: str
    role: Role
    aliases: tuple[str, ...] = ()
    path: Path | None = None
    package: str | None = None
    package_folder: str = ""
    install: str | None = None
    repo: str | None = None
    revision: str | None = None
    sha256: str | None = None
    weights: str | None = None
    heads: bool = False
    overlay: str | None = None
    base: str | None = None
    pooling: str | None = None
    max_tokens: int | None = None
    matryoshka: bool = False
    license: str = "unknown"
    languages: tuple[str, ...] = ()


# What a config file may say of a model; the rest is for models whose files were examined.
CONFIGURABLE = {
    "path",
    "repo",
    "revision",
    "sha256",
    "pooling",
    "max_tokens",
    "heads",
    "matryoshka",
}


@cache
def shipped() -> tuple[ModelCard, ...]:
    """Return the cards of `catalog.toml`."""
    data = tomllib.loads(files("reranker.models").joinpath("catalog.toml").read_text("utf-8"))
    return tuple(_card(entry) for entry in data["model"])


def _card(entry: Mapping[str, Any]) -> ModelCard:
    lists = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
    return ModelCard(**{**entry, **lists})


class Catalog:
    """Cards by role and id.

    Args:
        configured: for each role, the id and what a config file says it stands for: another
            id, a folder, a hub repo (`org/name` or `org/name@revision`), or a table of card fields.
        on_request: "catalog" serves shipped and configured models, "configured" the latter
            alone, "any" every hub repo that a request names.
    """

    def __init__(
        self,
        configured: Mapping[Role, Mapping[str, str | Mapping[str, Any]]] | None = None,
        on_request: str = "catalog",
    ) -> None:
        self._on_request = on_request
        self._shipped = _by_id(shipped())
        self._own: dict[tuple[Role, str], ModelCard] = {}
        for role, entries in (configured or {}).items():
            for name, value in entries.items():
                self._own[role, name.lower()] = self._configure(role, name, value)

    def find(self, role: Role, model: str) -> ModelCard:
        """Return the card that an id stands for in a role.

        Raises:
            UnknownModel: there is none, or requests may not load it.
        """
        wanted = (role, model.strip().lower())
        if (card := self._own.get(wanted)) is not None:
            return card
        if self._on_request != "configured" and (card := self._shipped.get(wanted)) is not None:
            return card
        if self._on_request == "any" and model.count("/") == 1 and not model.startswith(("/", ".")):
            return _from_hub(role, model, model)
        raise self._unknown(role, model)

    def roles(self, model: str) -> tuple[Role, ...]:
        """Return the roles in which an id is known.

        Raises:
            UnknownModel: in none.
        """
        known: tuple[Role, ...] = ("bi-encoder", "cross-encoder")
        found = tuple(role for role in known if self._knows(role, model))
        if not found:
            raise self._unknown("bi-encoder", model)
        return found

    def _knows(self, role: Role, model: str) -> bool:
        try:
            self.find(role, model)
        except UnknownModel:
            return False
        return True

    def cards(self) -> tuple[tuple[str, ModelCard], ...]:
        """Return (id, card) of all models that may be served, configured ones first."""
        known = {(role, name): card for (role, name), card in self._own.items()}
        listed = [(name, card) for (_, name), card in known.items()]
        if self._on_request != "configured":
            listed += [
                (card.id, card) for card in shipped() if (card.role, card.id.lower()) not in known
            ]
        return tuple(listed)

    def _configure(self, role: Role, name: str, value: str | Mapping[str, Any]) -> ModelCard:
        shipped_card = self._shipped.get((role, name.lower()))
        if isinstance(value, Mapping):
            unknown = set(value) - CONFIGURABLE
            if unknown:
                raise SettingsError(
                    f"unknown key {sorted(unknown)[0]!r}; known: {', '.join(sorted(CONFIGURABLE))}",
                    param=f"{role}s.{name}.{sorted(unknown)[0]}",
                )
            path = {"path": Path(value["path"]).expanduser()} if "path" in value else {}
            return replace(shipped_card or ModelCard(name, role), **{**value, **path})
        if value.startswith(("/", "./", "../", "~")):
            return replace(shipped_card or ModelCard(name, role), path=Path(value).expanduser())
        if (target := self._shipped.get((role, value.lower()))) is not None:
            return target
        if value.count("/") == 1:
            return _from_hub(role, name, value)
        raise SettingsError(
            f"{value!r} is no catalogued {role}, no folder (start it with / or ./) and no hub repo",
            param=f"{role}s.{name}",
        )

    def _unknown(self, role: Role, model: str) -> UnknownModel:
        other: Role = "cross-encoder" if role == "bi-encoder" else "bi-encoder"
        as_other = (other, model.strip().lower())
        known = ", ".join(dict.fromkeys(card.id for _, card in self.cards() if card.role == role))
        param = "model" if role == "bi-encoder" else "model_cross"
        if as_other in self._own or as_other in self._shipped:
            return UnknownModel(
                f"{model!r} is a {other}; here a {role} is needed: {known}", param=param
            )
        return UnknownModel(f"unknown {role} {model!r}; known: {known}", param=param)


def _from_hub(role: Role, name: str, value: str) -> ModelCard:
    repo, _, revision = value.partition("@")
    return ModelCard(name, role, repo=repo, revision=revision or None)


def _by_id(cards: Iterable[ModelCard]) -> dict[tuple[Role, str], ModelCard]:
    found: dict[tuple[Role, str], ModelCard] = {}
    for card in cards:
        for name in (card.id, *card.aliases):
            if found.setdefault((card.role, name.lower()), card) is not card:
                raise ValueError(f"catalog.toml lists {name!r} twice as a {card.role}")
    return found


assert {field.name for field in fields(ModelCard)} >= CONFIGURABLE
