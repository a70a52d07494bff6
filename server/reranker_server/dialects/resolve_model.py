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
from reranker_server.dialects.lenient_fields import LenientModel, Text

if TYPE_CHECKING:
    from reranker.model_card import ModelCard, Role
    from reranker_server.dialects.base import IncomingRequest

# What clients send when their user named no model.
PLACEHOLDERS = {"default", "default/not-specified", "api", "reranker", "nvidia"}


class ModelFields(LenientModel):
    """The fields that choose method and models; the last two are extensions of every dialect."""

    model: Text = None
    method: Text = None
    model_cross: Text = None


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A method, its models, and the id to respond with."""

    method: str
    model: str
    model_cross: str | None
    label: str


def resolve_model(incoming: IncomingRequest, body: ModelFields) -> ModelChoice:
    """Choose method and models of a ranking.

    Raises:
        UnknownMethod: the method is not registered.
        UnknownModel: a model is not known, and the settings do not say to serve it nevertheless.
    """
    name, suffix = split_model(incoming, body.model)
    roles = known_roles(incoming, name)
    own = incoming.engine.settings
    default = "fast" if roles == ("bi-encoder",) else "standard"
    method = registry.get(body.method or suffix or default)
    bi = name if name and "bi-encoder" in roles else own.model
    cross = None
    if "cross-encoder" in method.roles or method.two_stage:
        named = body.model_cross
        if named and "cross-encoder" not in known_roles(incoming, named, "model_cross"):
            named = None
        cross = named or (name if "cross-encoder" in roles else None) or own.model_cross
    used = [bi] if "bi-encoder" in method.roles else []
    used += [cross] if cross else []
    label = name if name and (name in used or not used) else [method.name, *used][-1]
    return ModelChoice(method.name, bi, cross, label)


def resolve_role(incoming: IncomingRequest, model: str | None, role: Role) -> tuple[Role, str]:
    """Choose one model, of that role if the id is known in it, and the engine's own without one.

    Raises:
        UnknownModel: the id is not known.
    """
    name, _ = split_model(incoming, model)
    roles = known_roles(incoming, name)
    if name and roles:
        return (role if role in roles else roles[0]), name
    own = incoming.engine.settings
    return role, own.model if role == "bi-encoder" else own.model_cross


def split_model(incoming: IncomingRequest, model: str | None) -> tuple[str | None, str | None]:
    """Return the model's id, from the body or the path, and the method after its colon."""
    for candidate in (model, incoming.path_model):
        name, method = split_method((candidate or "").strip())
        if name.lower() in PLACEHOLDERS:
            name = ""
        if name or method:
            return name or None, method
    return None, None


def split_method(name: str) -> tuple[str, str | None]:
    """Split `id:method`; a suffix that is no method belongs to the id."""
    model, colon, method = name.rpartition(":")
    return (model, method) if colon and method in registry.names() else (name, None)


def known_roles(
    incoming: IncomingRequest, name: str | None, param: str = "model"
) -> tuple[Role, ...]:
    """Return the roles an id is known in, none for no id.

    Raises:
        UnknownModel: in none, and the settings say to refuse it.
    """
    if name is None:
        return ()
    catalog = incoming.engine.models.catalog
    try:
        return catalog.roles(name)
    except UnknownModel as error:
        if incoming.settings.unknown_models == "default":
            return ()
        raise unknown_model(name, catalog.cards(), param) from error


def unknown_model(
    name: str, cards: Iterable[tuple[str, ModelCard]], param: str = "model"
) -> UnknownModel:
    """Return the error for an id of no card, listing the ids of both roles."""
    known = ", ".join(dict.fromkeys(each for each, _ in cards))
    return UnknownModel(f"unknown model {name!r}; known: {known}", param=param)
