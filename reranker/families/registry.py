"""The model families that are installed, those of this package and of others alike."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from reranker.errors import UnusableModel
from reranker.families.base import Checkpoint, ModelFamily
from reranker.families.cross_encoder import labels_of
from reranker.model_card import ROLES
from reranker.plugins import Plugins

log = logging.getLogger(__name__)

GROUP = "reranker.model_families"
_OWN_MODULES = "reranker."


def family_of(checkpoint: Checkpoint) -> ModelFamily:
    """Return the family that a checkpoint belongs to, in the role that its card says.

    A family of another package comes before our own: it knows its checkpoints more closely.

    Raises:
        UnusableModel: it belongs to none, with the reason, or to two, which are named.
    """
    matching = [each for each in installed() if _belongs(each, checkpoint)]
    others = [each for each in matching if not type(each).__module__.startswith(_OWN_MODULES)]
    found = others or matching
    if not found:
        raise UnusableModel(f"model {checkpoint.card.id!r} {_reason(checkpoint)}")
    if len(found) > 1:
        names = " and ".join(repr(family.name) for family in found)
        raise UnusableModel(
            f"model {checkpoint.card.id!r} belongs to two model families, {names}: uninstall one"
        )
    return found[0]


@cache
def installed() -> tuple[ModelFamily, ...]:
    """Return all families that work; each that does not is named once in the log."""
    families, problems = Plugins(GROUP, "model family", _checked).available()
    for problem in problems:
        log.error("%s", problem.for_operator())
    return tuple(families.values())


def _belongs(family: ModelFamily, checkpoint: Checkpoint) -> bool:
    if family.role != checkpoint.card.role:
        return False
    try:
        return family.matches(checkpoint)
    except Exception as error:  # a broken family must not keep the others' checkpoints from loading
        why = " ".join(f"{type(error).__name__}: {error}".split())
        log.error("model family %r is left out for %r: %s", family.name, checkpoint.card.id, why)
        return False


def _reason(checkpoint: Checkpoint) -> str:
    """Return why no family takes a checkpoint, to be read after its name."""
    card = checkpoint.card
    if not checkpoint.config:
        return "has no config.json"
    name = next(iter(checkpoint.architectures), "an unnamed architecture")
    classifies = name.endswith("ForSequenceClassification")
    if card.role == "bi-encoder" and classifies:
        return f"is a cross-encoder ({name}) and cannot serve as a bi-encoder"
    if card.role == "cross-encoder" and not classifies:
        return (
            f"is no cross-encoder: its architecture is {name}, where one that ends in "
            "ForSequenceClassification is needed"
        )
    if card.role == "cross-encoder":
        return f"has {labels_of(checkpoint)} labels; a reranker has one"
    return f"is of no family that is installed: its architecture is {name}"


def _checked(name: str, found: Any) -> ModelFamily:
    """Return what an entry point refers to, a family or its class, if it is one."""
    family = found() if isinstance(found, type) else found
    missing = [part for part in ("name", "role", "matches", "load") if not hasattr(family, part)]
    if missing:
        raise ValueError(f"it has no {missing[0]!r}")
    if family.role not in ROLES:
        raise ValueError(f"its role {family.role!r} is none of {', '.join(ROLES)}")
    if family.name != name:
        raise ValueError(f"it calls itself {family.name!r}")
    checked: ModelFamily = family
    return checked
