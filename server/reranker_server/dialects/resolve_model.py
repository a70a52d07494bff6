"""Which method and models serve a request, from the one id that other APIs know.

id of a cross-encoder             standard
id of a bi-encoder                fast
none, or a placeholder            standard with the engine's own cross-encoder
id:method, or a `method` field    that method; a model it lacks is the engine's own
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reranker.errors import UnknownModel
from reranker.pipeline import registry
from reranker_server.dialects import lenient_fields as fields

if TYPE_CHECKING:
    from reranker.families.base import Role
    from reranker.hub.catalog import ModelCard
    from reranker_server.dialects.base import Ask

# What clients send when their user named no model.
PLACEHOLDERS = {"default", "default/not-specified", "api", "reranker", "nvidia"}
_BOTH: tuple[Role, ...] = ("bi-encoder", "cross-encoder")


@dataclass(frozen=True, slots=True)
class Choice:
    """A method, its models, and the id to answer with."""

    method: str
    model: str
    model_cross: str | None
    label: str


def choose(ask: Ask) -> Choice:
    """Choose for a ranking.

    Raises:
        UnknownMethod: the method is not known.
        UnknownModel: a model is not known, and the settings do not say to serve it nevertheless.
    """
    name, suffix = split(ask)
    roles = known_roles(ask, name)
    own = ask.reranker.settings
    wanted = fields.text(ask.payload, "method") or suffix
    if wanted is None:
        wanted = "fast" if roles == ("bi-encoder",) else "standard"
    method = registry.get(wanted)
    bi = name if name and "bi-encoder" in roles else own.model
    cross = None
    if "cross-encoder" in method.roles or method.two_stage:
        named = fields.text(ask.payload, "model_cross")
        if named and "cross-encoder" not in known_roles(ask, named, "model_cross"):
            named = None
        cross = named or (name if "cross-encoder" in roles else None) or own.model_cross
    used = [bi] if "bi-encoder" in method.roles else []
    used += [cross] if cross else []
    return Choice(method.name, bi, cross, name if name in used else used[-1])


def choose_role(ask: Ask, role: Role) -> tuple[Role, str]:
    """Choose one model, of that role if the id is known in it, and the engine's own without one.

    Raises:
        UnknownModel: the id is not known.
    """
    name, _ = split(ask)
    roles = known_roles(ask, name)
    if name and roles:
        return (role if role in roles else roles[0]), name
    own = ask.reranker.settings
    return role, own.model if role == "bi-encoder" else own.model_cross


def split(ask: Ask) -> tuple[str | None, str | None]:
    """Return the model's id, from the body or the path, and the method that follows a colon."""
    for given in (fields.text(ask.payload, "model"), ask.model):
        whole = (given or "").strip()
        name, _, suffix = whole.rpartition(":")
        if suffix not in registry.names():
            name, suffix = whole, ""
        if name.lower() in PLACEHOLDERS:
            name = ""
        if name or suffix:
            return name or None, suffix or None
    return None, None


def known_roles(ask: Ask, name: str | None, param: str = "model") -> tuple[Role, ...]:
    """Return the roles an id is known in, none for no id.

    Raises:
        UnknownModel: in none, and the settings say to refuse it.
    """
    if name is None:
        return ()
    catalog = ask.reranker.models.catalog
    try:
        return catalog.roles(name)
    except UnknownModel as error:
        if ask.settings.unknown_models == "default":
            return ()
        raise unknown(name, catalog.cards(), param) from error


def unknown(
    name: str, cards: Iterable[tuple[str, ModelCard]], param: str = "model"
) -> UnknownModel:
    """Return the error for an id that no card has, with all that there are, whatever their role."""
    known = ", ".join(dict.fromkeys(each for each, _ in cards))
    return UnknownModel(f"unknown model {name!r}; known: {known}", param=param)
