"""Which models there are: cards as data, and the ids that lead to them.

The shipped cards stand in `catalog.toml`; a config file adds to them or maps an id to another:

    [bi-encoders]
    "bge-reranker-v2-m3" = "all-MiniLM-L6-v2"       # another id
    "ours" = "/models/ours"                         # a folder
    "bge-m3" = "ours"                               # an id of this file
    "e5" = { repo = "intfloat/e5-base-v2", revision = "..." }
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from reranker.errors import SettingsError, UnknownModel
from reranker.hub.overrides import at_folder, at_repo, from_table, is_folder, is_repo
from reranker.model_card import ROLES, ModelCard, Role

__all__ = ["DEFAULT_BI_ENCODER", "DEFAULT_CROSS_ENCODER", "Catalog", "ModelCard", "shipped"]

DEFAULT_BI_ENCODER = "all-MiniLM-L6-v2"
DEFAULT_CROSS_ENCODER = "minilm-l6-cross-encoder"


@cache
def shipped() -> tuple[ModelCard, ...]:
    """Return the cards of `catalog.toml`."""
    data = tomllib.loads(files("reranker.hub").joinpath("catalog.toml").read_text("utf-8"))
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
        self._spelled: dict[tuple[Role, str], str] = {}
        for role, entries in (configured or {}).items():
            by_id = {name.lower(): value for name, value in entries.items()}
            for name in entries:
                self._own[role, name.lower()] = self._configure(role, name, by_id)
                self._spelled[role, name.lower()] = name

    def find(self, role: Role, model: str) -> ModelCard:
        """Return the card that an id stands for in a role.

        An alias of a shipped model follows the model where a config file says where that is.

        Raises:
            UnknownModel: there is none, or requests may not load it.
        """
        key = (role, model.strip().lower())
        shipped_card = self._shipped.get(key)
        card = self._own.get(key)
        if card is None and shipped_card is not None:
            card = self._own.get((role, shipped_card.id.lower()))
            if card is None and self._on_request != "configured":
                card = shipped_card
        if card is None and self._on_request == "any" and is_repo(model.strip()):
            return at_repo(ModelCard(model.strip(), role), model.strip())
        if card is None:
            raise self._unknown(role, model)
        return card

    def base_of(self, card: ModelCard) -> ModelCard | None:
        """Return the shipped card whose weights an overlay goes over, whatever is mapped."""
        return None if card.base is None else self._shipped["bi-encoder", card.base.lower()]

    def roles(self, model: str) -> tuple[Role, ...]:
        """Return the roles in which an id is known.

        Raises:
            UnknownModel: in none.
        """
        found = tuple(role for role in ROLES if self._knows(role, model))
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
        known = self._own
        listed = [(self._spelled[key], card) for key, card in known.items()]
        if self._on_request != "configured":
            listed += [
                (card.id, card) for card in shipped() if (card.role, card.id.lower()) not in known
            ]
        return tuple(listed)

    def _configure(
        self, role: Role, name: str, entries: Mapping[str, str | Mapping[str, Any]]
    ) -> ModelCard:
        """Return the card of a configured id, which may lead to another configured one."""
        value: str | Mapping[str, Any] = name
        passed: set[str] = set()
        while isinstance(value, str) and (target := self._target(role, value, entries)):
            if target in passed:
                break  # an id that leads to itself stands for the shipped model
            passed.add(target)
            start = self._shipped.get((role, target)) or ModelCard(value, role)
            value = entries[target]
        try:
            return self._card(role, start, value)
        except SettingsError as error:
            param = f"{role}s.{name}"
            raise SettingsError(f"{param}: {error.message}", param=param) from error

    def _target(self, role: Role, value: str, entries: Mapping[str, object]) -> str | None:
        """Return the configured id that an id stands for, itself or as an alias."""
        shipped_card = self._shipped.get((role, value.lower()))
        names = (value.lower(), shipped_card.id.lower() if shipped_card else "")
        return next((name for name in names if name in entries), None)

    def _card(self, role: Role, start: ModelCard, value: str | Mapping[str, Any]) -> ModelCard:
        if isinstance(value, Mapping):
            return from_table(start, value)
        if is_folder(value):
            return at_folder(start, value)
        if (target := self._shipped.get((role, value.lower()))) is not None:
            return target
        if is_repo(value):
            return at_repo(ModelCard(start.id, role), value)
        raise SettingsError(
            f"{value!r} is no catalogued {role}, no folder (start it with / or ./) and no hub repo"
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


def _by_id(cards: Iterable[ModelCard]) -> dict[tuple[Role, str], ModelCard]:
    found: dict[tuple[Role, str], ModelCard] = {}
    for card in cards:
        for name in (card.id, *card.aliases):
            if found.setdefault((card.role, name.lower()), card) is not card:
                raise ValueError(f"catalog.toml lists {name!r} twice as a {card.role}")
    return found
