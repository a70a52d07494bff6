"""Resolving settings: argument over RERANKER_* variable over config file over default.

Each value is resolved once, with where it came from. A config file is TOML:

    [engine]
    offline = true

    [engine.tuning]
    threads = 4

    [server]
    port = 8080

    [bi-encoders]
    "bge-reranker-v2-m3" = "all-MiniLM-L6-v2"

An unknown key, table or RERANKER_* variable is an error, named with its file and line. A setting
that was renamed or moved keeps its old name for one release, with a warning.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Generic, TypeVar, get_args, get_origin

from pydantic import ValidationError

from reranker.errors import SettingsError
from reranker.hub.catalog import Catalog
from reranker.model_card import ROLES
from reranker.settings.config_file import CONFIG_VARIABLE, Config
from reranker.settings.section import Section, inner_sections, is_renamed, leaves, place_of, put

log = logging.getLogger("reranker.settings")

PREFIX = "RERANKER_"
MODEL_TABLES = tuple(f"{role}s" for role in ROLES)
_UNKNOWN = "unknown setting"
MODEL_FIELDS = tuple(table.replace("-", "_") for table in MODEL_TABLES)


SectionT = TypeVar("SectionT", bound=Section)


@dataclass(frozen=True, slots=True)
class Resolved(Generic[SectionT]):
    """A section's values, and for each, those of inner sections among them, where it came from."""

    value: SectionT
    sources: Mapping[str, str]


def resolve(
    section: type[SectionT],
    table: str,
    config: Config,
    arguments: Mapping[str, object],
    environ: Mapping[str, str] | None = None,
) -> Resolved[SectionT]:
    """Resolve one section.

    Args:
        section: the fields, their types and defaults.
        table: its table in the config file.
        config: the file.
        arguments: values by name, inner ones too; None counts as absent.
        environ: the environment; the process's own by default.

    Raises:
        SettingsError: a value cannot be used, or a key is unknown.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    sources = {name: "default" for name, _, _ in leaves(section)}

    def assign(name: str, value: object, source: str) -> None:
        inner, new = place_of(section, name) or ("", name)
        put(values, inner, new, value)
        sources[new] = source

    for name, value, place in _from_file(section, table, config):
        assign(name, value, place)
    for variable, name, kind in _variables(section):
        if variable in environ:
            _warn_if_renamed(section, name, variable)
            assign(name, _parse(kind, environ[variable]), variable)
    for name in sorted(arguments, key=lambda name: not is_renamed(section, name)):
        if arguments[name] is not None:
            _warn_if_renamed(section, name, f"argument {name}")
            assign(name, arguments[name], f"argument {name}")
    try:
        resolved = section(**values)
    except ValidationError as error:
        raise _refused(section, config, sources, error) from error
    _check_models(resolved, config)
    return Resolved(resolved, sources)


def check_known(
    sections: Mapping[str, type[Section]], config: Config, environ: Mapping[str, str] | None = None
) -> None:
    """Refuse tables and RERANKER_* variables that no section knows.

    Raises:
        SettingsError: with the nearest known name.
    """
    environ = os.environ if environ is None else environ
    check_tables(config, sections)
    known = {variable for each in sections.values() for variable, _, _ in _variables(each)}
    known.add(CONFIG_VARIABLE)
    for variable in environ:
        if variable.startswith(PREFIX) and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"unknown variable {variable}{hint}")


def check_tables(config: Config, sections: Iterable[str]) -> None:
    """Refuse tables of the file that are none of these, and no table of models."""
    known = [*sections, *MODEL_TABLES]
    for table in config.tables:
        if table not in known:
            raise SettingsError(f"{config.where(table)}: unknown table; known: {', '.join(known)}")


def _from_file(
    section: type[Section], table: str, config: Config
) -> Iterator[tuple[str, object, str]]:
    """Yield name, value and place of what the file sets, with a warning for old names.

    Old names and places come first, so that the new ones win.
    """
    values = config.tables.get(table, {})
    if not isinstance(values, dict):
        raise SettingsError(f"{config.where(table)}: should be a table")
    inner_tables = inner_sections(section)
    found: list[tuple[str, str, object]] = []
    for name, value in values.items():
        if name not in inner_tables:
            found.append(("", name, value))
        elif isinstance(value, dict):
            found += [(name, inner_name, inner_value) for inner_name, inner_value in value.items()]
        else:
            raise SettingsError(f"{config.where(table, name)}: should be a table")
    for inner, name, value in sorted(
        found, key=lambda each: place_of(section, each[1]) == (each[0], each[1])
    ):
        place = config.where(table, name)
        yield _known(section, table, inner, name, place), value, place
    for models, field in zip(MODEL_TABLES, MODEL_FIELDS, strict=True):
        if field in section.model_fields and models in config.tables:
            yield field, _beside(config, config.tables[models]), config.where(models)


def _beside(config: Config, models: Any) -> Any:
    """Return a table of models with its relative folders taken from where the file lies."""
    if config.path is None or not isinstance(models, dict):
        return models
    here = config.path.parent.absolute()

    def absolute(value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("path"), str):
            return {**value, "path": str(here / Path(value["path"]).expanduser())}
        if isinstance(value, str) and value.startswith(("./", "../")):
            return str(here / value)
        return value

    return {name: absolute(value) for name, value in models.items()}


def _known(section: type[Section], table: str, inner: str, name: str, place: str) -> str:
    """Return a setting's name of the file, or refuse it; warn if it is old or in an old table."""
    found = place_of(section, name) if name not in MODEL_FIELDS else None
    if found is None or (inner and found[0] != inner):
        raise SettingsError(f"{place}: {_UNKNOWN}{_near(name, section)}")
    if found != (inner, name):
        new = ".".join(filter(None, (table, *found)))
        log.warning("%s is now %s; change it before the next release", place, new)
    return name


def _warn_if_renamed(section: type[Section], name: str, source: str) -> None:
    """Warn of an old name of a variable or an argument."""
    place = place_of(section, name)
    if place is not None and place[1] != name:
        new = PREFIX + place[1].upper() if source.startswith(PREFIX) else repr(place[1])
        log.warning("%s is now %s; change it before the next release", source, new)


def _variables(section: type[Section]) -> Iterator[tuple[str, str, Any]]:
    """Yield variable, setting and type; old names first, so that the new ones win."""
    for each in [section, *inner_sections(section).values()]:
        for old, new in each.renamed.items():
            yield PREFIX + old.upper(), old, each.model_fields[new].annotation
    for name, _, kind in leaves(section):
        yield PREFIX + name.upper(), name, kind


def _parse(kind: Any, text: str) -> object:
    """Read a variable; a list is written with commas."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if any(get_origin(each) in (tuple, list) for each in kinds):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _refused(
    section: type[Section], config: Config, sources: Mapping[str, str], error: ValidationError
) -> SettingsError:
    """Return the first thing that is wrong, with where it was set."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if not path:  # of settings that do not go together
        return SettingsError(first["msg"].removeprefix("Value error, "))
    name = path[0]
    if name in inner_sections(section):
        name = path[min(1, len(path) - 1)]
    source = sources.get(name, name)
    if name in MODEL_FIELDS and source != "default" and len(path) > 1:
        source = config.where(name.replace("_", "-"), path[1])
    unknown = place_of(section, name) is None
    message = f"{_UNKNOWN}{_near(name, section)}" if unknown else first["msg"]
    return SettingsError(f"{source}: {message}", param=name)


def _check_models(section: Section, config: Config) -> None:
    """Reject an invalid model entry, reporting its line."""
    values = dict(section)
    configured = zip(ROLES, MODEL_FIELDS, strict=True)
    try:
        Catalog({role: values.get(field, {}) for role, field in configured})
    except SettingsError as error:
        table, _, name = (error.param or "").partition(".")
        if config.path is None or name not in config.tables.get(table, {}):
            raise
        place = config.where(table, name)
        message = error.message.removeprefix(f"{error.param}: ")
        raise SettingsError(f"{place}: {message}", param=error.param) from error


def _near(name: str, section: type[Section]) -> str:
    known = [*(leaf for leaf, _, _ in leaves(section)), *inner_sections(section)]
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
