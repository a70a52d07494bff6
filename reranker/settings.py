"""Settings: argument over RERANKER_* environment over config file over default.

Resolved once, each value with where it came from. A config file is TOML:

    [engine]
    offline = true

    [server]
    port = 8080

    [bi-encoders]
    "bge-reranker-v2-m3" = "all-MiniLM-L6-v2"

An unknown key, section or RERANKER_* variable is an error, named with its file and line.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reranker.config_file import CONFIG_VARIABLE, Config, read_config
from reranker.errors import SettingsError
from reranker.hub.catalog import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER, Catalog

__all__ = ["Config", "Resolved", "Section", "Settings", "check_known", "read_config", "resolve"]

PREFIX = "RERANKER_"
MODEL_SECTIONS = ("bi-encoders", "cross-encoders")
OTHER_SECTIONS = ("server",)  # read elsewhere: one file serves the library and the server
MODEL_FIELDS = ("bi_encoders", "cross_encoders")


class Section(BaseModel):
    """A table of the config file whose keys are known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(Section):
    """Settings of the engine, table `[engine]`."""

    model: str = Field(DEFAULT_BI_ENCODER, description="bi-encoder used where a call names none")
    model_cross: str = Field(
        DEFAULT_CROSS_ENCODER, description="cross-encoder used where a call names none"
    )
    offline: bool = Field(False, description="never download; use what is on this machine")
    models_on_request: Literal["catalog", "configured", "any"] = Field(
        "catalog", description="which models a request may load"
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1, mps")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="number format; auto is bfloat16 where the hardware multiplies it faster",
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0 is what affinity and cgroup allow")
    token_budget: int = Field(
        0, ge=0, description="most padded tokens in a batch; 0 suits the device"
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        "auto",
        description="auto is openvino where measured to be faster, in int8 if by a quarter",
    )
    exports: Path | None = Field(
        None, description="folder of networks exported for openvino; by default ~/.cache/reranker"
    )
    attention: Literal["auto", "sdpa", "eager"] = Field(
        "auto", description="kernel of attention; auto is the faster one where it is measured"
    )
    weights: Literal["auto", "packed", "plain"] = Field(
        "auto",
        description="how torch keeps them on a CPU; auto is packed unless measured to be slower",
    )
    measure: bool = Field(
        True,
        description="when a model is warmed, time what was left to us for about a second",
    )
    cache_mb: int = Field(256, ge=0, description="memory for results, per model; 0 keeps none")
    cache_redis_url: str | None = Field(
        None, description="keep results in Redis, too, shared by several servers"
    )
    cache_redis_hours: int = Field(24, ge=1, description="how long results are kept there")
    profile: str | None = Field(None, description="file with weights of `best` fitted to own data")
    bi_encoders: Mapping[str, str | Mapping[str, Any]] = Field(default_factory=dict, exclude=True)
    cross_encoders: Mapping[str, str | Mapping[str, Any]] = Field(
        default_factory=dict, exclude=True
    )

    @classmethod
    def load(cls, file: str | os.PathLike[str] | None = None, **arguments: object) -> Settings:
        """Resolve the engine's settings from arguments, environment and file."""
        config = read_config(file)
        _check_tables(config, ("engine", *OTHER_SECTIONS))
        return resolve(cls, "engine", config, arguments).value


SectionT = TypeVar("SectionT", bound=Section)


@dataclass(frozen=True, slots=True)
class Resolved(Generic[SectionT]):
    """A section's values, and for each where it came from."""

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
        arguments: values given in code or on the command line; None counts as not given.
        environ: the environment; the process's own by default.

    Raises:
        SettingsError: a value cannot be used, or a key is unknown.
    """
    environ = os.environ if environ is None else environ
    given: dict[str, object] = {}
    sources = dict.fromkeys(section.model_fields, "default")
    for name, value in _from_file(section, table, config).items():
        place = (name.replace("_", "-"), "") if name in MODEL_FIELDS else (table, name)
        given[name], sources[name] = value, config.where(*place)
    for name in section.model_fields:
        variable = PREFIX + name.upper()
        if variable in environ:
            given[name], sources[name] = (
                _from_environment(section, name, environ[variable]),
                variable,
            )
    for name, argument in arguments.items():
        if argument is not None:
            given[name], sources[name] = argument, f"argument {name}"
    try:
        value = section(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        source = sources.get(name, name)
        if name in MODEL_FIELDS and source != "default" and len(first["loc"]) > 1:
            source = config.where(name.replace("_", "-"), str(first["loc"][1]))
        hint = _near(name, section) if name not in section.model_fields else ""
        raise SettingsError(f"{source}: {first['msg']}{hint}", param=name) from error
    _check_models(value, config)
    return Resolved(value, sources)


def _check_models(section: Section, config: Config) -> None:
    """Refuse a model of the file that cannot be meant, with its line."""
    configured = {
        role: getattr(section, f"{role.replace('-', '_')}s", {})
        for role in ("bi-encoder", "cross-encoder")
    }
    try:
        Catalog(configured)  # type: ignore[arg-type]
    except SettingsError as error:
        table, _, name = (error.param or "").partition(".")
        if config.path is None or name not in config.tables.get(table, {}):
            raise
        place = config.where(table, name)
        message = error.message.removeprefix(f"{error.param}: ")
        raise SettingsError(f"{place}: {message}", param=error.param) from error


def _from_file(section: type[Section], table: str, config: Config) -> dict[str, object]:
    values = config.tables.get(table, {})
    if not isinstance(values, dict):
        raise SettingsError(f"{config.where(table)}: should be a table")
    for name in values:
        if name not in section.model_fields or name in MODEL_FIELDS:
            raise SettingsError(
                f"{config.where(table, name)}: unknown setting{_near(name, section)}"
            )
    found: dict[str, object] = dict(values)
    for models in MODEL_SECTIONS:
        field_name = models.replace("-", "_")
        if field_name in section.model_fields and models in config.tables:
            found[field_name] = config.tables[models]
    return found


def _from_environment(section: type[Section], name: str, text: str) -> object:
    """Read a variable; a list is written with commas."""
    kind = section.model_fields[name].annotation
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if any(get_origin(each) in (tuple, list) for each in kinds):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _near(name: str, section: type[Section]) -> str:
    near = difflib.get_close_matches(name, section.model_fields, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_known(
    sections: Mapping[str, type[Section]], config: Config, environ: Mapping[str, str] | None = None
) -> None:
    """Refuse tables and RERANKER_* variables that no section knows.

    Raises:
        SettingsError: with the nearest known name.
    """
    environ = os.environ if environ is None else environ
    _check_tables(config, sections)
    known = {CONFIG_VARIABLE} | {
        PREFIX + name.upper() for section in sections.values() for name in section.model_fields
    }
    for variable in environ:
        if variable.startswith(PREFIX) and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"unknown variable {variable}{hint}")


def _check_tables(config: Config, sections: Iterable[str]) -> None:
    known = [*sections, *MODEL_SECTIONS]
    for table in config.tables:
        if table not in known:
            raise SettingsError(f"{config.where(table)}: unknown table; known: {', '.join(known)}")
