"""A table of the config file: its fields, inner tables, and old names that are still accepted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

log = logging.getLogger("reranker.settings")


class Section(BaseModel):
    """A table of the config file; a field that is a section is a table inside it.

    Attributes:
        renamed: new names by old ones that are still accepted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    renamed: ClassVar[Mapping[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, values: Any) -> Any:
        """Put values under the names and into the sections that they have now.

        What stands there by its present name wins.
        """
        if not isinstance(values, dict):
            return values
        places = {
            name: place
            for name in values
            if name not in cls.model_fields and (place := place_of(cls, name)) is not None
        }
        moved: dict[str, Any] = {}
        for name, (inner, new) in places.items():
            path = f"{inner}.{new}" if inner else new
            log.warning("setting %r is now %r; change it before the next release", name, path)
            put(moved, inner, new, values[name])
        current = {name: value for name, value in values.items() if name not in places}
        for inner in moved.keys() & current.keys() & inner_sections(cls).keys():
            current[inner] = _merged(moved[inner], current[inner])
        return {**moved, **current}


def leaves(section: type[Section]) -> Iterator[tuple[str, str, Any]]:
    """Yield name, inner section ("" for none) and type of all settings of a section."""
    inner = inner_sections(section)
    for name, info in section.model_fields.items():
        if name in inner:
            for leaf, leaf_info in inner[name].model_fields.items():
                yield leaf, name, leaf_info.annotation
        else:
            yield name, "", info.annotation


def inner_sections(section: type[Section]) -> dict[str, type[Section]]:
    """Return the fields of a section that are sections themselves."""
    found: dict[str, type[Section]] = {}
    for name, info in section.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            found[name] = info.annotation
    return found


def place_of(section: type[Section], name: str) -> tuple[str, str] | None:
    """Return the inner section and the present name of a setting, old names included."""
    if name in section.model_fields or name in section.renamed:
        return "", section.renamed.get(name, name)
    for field, inner in inner_sections(section).items():
        if name in inner.model_fields or name in inner.renamed:
            return field, inner.renamed.get(name, name)
    return None


def is_renamed(section: type[Section], name: str) -> bool:
    """Whether a name is an old one of a setting, inner sections' settings included."""
    place = place_of(section, name)
    return place is not None and place[1] != name


def put(values: dict[str, Any], inner: str, name: str, value: object) -> None:
    """Set a value; those of an inner section stand in a dictionary of their own."""
    if not inner:
        values[name] = value
        return
    values[inner] = _merged(values.get(inner, {}), {name: value})


def _merged(held: Any, values: Any) -> Any:
    """Return an inner section's values with others laid over them; what is no section wins."""
    under, over = (
        each.model_dump(exclude_unset=True) if isinstance(each, Section) else each
        for each in (held, values)
    )
    return {**under, **over} if isinstance(over, dict) and isinstance(under, dict) else values
