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
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reranker.errors import SettingsError
from reranker.models.catalog import DEFAULT_BI_ENCODER, DEFAULT_CROSS_ENCODER

PREFIX = "RERANKER_"
CONFIG_VARIABLE = "RERANKER_CONFIG"
MODEL_SECTIONS = ("bi-encoders", "cross-encoders")


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
    cache_mb: int = Field(256, ge=0, description="memory for results, per model; 0 keeps none")
    profile: str | None = Field(None, description="file with weights of `best` fitted to own data")
    bi_encoders: Mapping[str, str | Mapping[str, Any]] = Field(default_factory=dict, exclude=True)
    cross_encoders: Mapping[str, str | Mapping[str, Any]] = Field(
        default_factory=dict, exclude=True
    )

    @classmethod
    def load(cls, file: str | os.PathLike[str] | None = None, **arguments: object) -> Settings:
        """Resolve the engine's settings from arguments, environment and file."""
        config = read_config(file)
        return resolve(cls, "engine", config, arguments).value


SectionT = TypeVar("SectionT", bound=Section)


@dataclass(frozen=True, slots=True)
class Config:
    """A config file as read: its tables, and its text to find lines in."""

    path: Path | None = None
    tables: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""

    def where(self, table: str, key: str = "") -> str:
        """Return "file:line: table.key" of a key, or of its table."""
        line, inside = 0, False
        for number, content in enumerate(self.text.splitlines(), 1):
            header = re.match(r"\s*\[+([^\]]*)", content)
            if header:
                inside = re.split(r"[.\s]", header[1].strip())[0].strip("\"'") == table
            if not inside:
                continue
            line = line or number
            if key and re.search(rf"""^[\s"']*{re.escape(key)}["']?\s*[.=]""", content):
                line = number
                break
            if key and header and key in header[1]:
                line = number
                break
        return f"{self.path}:{line or 1}: {'.'.join(filter(None, (table, key)))}"


@dataclass(frozen=True, slots=True)
class Resolved(Generic[SectionT]):
    """A section's values, and for each where it came from."""

    value: SectionT
    sources: Mapping[str, str]


def read_config(
    file: str | os.PathLike[str] | None, environ: Mapping[str, str] | None = None
) -> Config:
    """Read the config file, the one named by RERANKER_CONFIG if none is given.

    Raises:
        SettingsError: it is missing or no TOML.
    """
    chosen = file or (os.environ if environ is None else environ).get(CONFIG_VARIABLE)
    if not chosen:
        return Config()
    path = Path(chosen).expanduser()
    try:
        text = path.read_text("utf-8")
        return Config(path, tomllib.loads(text), text)
    except FileNotFoundError as error:
        raise SettingsError(f"config file {path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"config file {path} cannot be read") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise SettingsError(f"{path}:{line[1] if line else 1}: not valid TOML: {error}") from error


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
        given[name], sources[name] = value, config.where(table, name)
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
        return Resolved(section(**given), sources)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise SettingsError(f"{sources.get(name, name)}: {first['msg']}", param=name) from error


def _from_file(section: type[Section], table: str, config: Config) -> dict[str, object]:
    values = config.tables.get(table, {})
    if not isinstance(values, dict):
        raise SettingsError(f"{config.where(table)}: should be a table")
    for name in values:
        if name not in section.model_fields or name in ("bi_encoders", "cross_encoders"):
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
    if getattr(kind, "__origin__", None) in (tuple, list):
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
    tables = [*sections, *MODEL_SECTIONS]
    for table in config.tables:
        if table not in tables:
            raise SettingsError(f"{config.where(table)}: unknown table; known: {', '.join(tables)}")
    known = {CONFIG_VARIABLE} | {
        PREFIX + name.upper() for section in sections.values() for name in section.model_fields
    }
    for variable in environ:
        if variable.startswith(PREFIX) and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"unknown variable {variable}{hint}")
