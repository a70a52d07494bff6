"""The keys file: callers with their rates, token budgets, models and methods.

    [search]
    sha256 = "9f86d0818..."             # of the key; the key itself is not stored
    rate = "600/minute; 20000/day"      # as the `limits` library reads it
    budget = "5000000/month"            # tokens; a bare number is for the lifetime of the key
    models = ["all-MiniLM-L6-v2"]       # all by default
    methods = ["fast", "optimal"]       # all by default

TOML, or JSON of the same form. A change is noticed within a second; if the file is no longer
valid, that is logged and the keys read before stay in force.
"""

from __future__ import annotations

import json
import logging
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from limits import RateLimitItem, parse_many
from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from reranker.errors import SettingsError

log = logging.getLogger(__name__)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
CHECK_SECONDS = 1.0  # between two looks at the file's time stamp


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """The most tokens within a day, a month (UTC), or the lifetime of a key."""

    tokens: int
    per: Literal["life", "day", "month"] = "life"

    def period(self, now: datetime | None = None) -> str:
        """Return the label of the current period."""
        form = {"life": "life", "day": "%Y-%m-%d", "month": "%Y-%m"}[self.per]
        return (now or datetime.now(UTC)).strftime(form)

    def __str__(self) -> str:
        return str(self.tokens) if self.per == "life" else f"{self.tokens}/{self.per}"


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key, and its limits; None means without limit."""

    name: str
    rates: tuple[RateLimitItem, ...] = ()
    budget: TokenBudget | None = None
    models: frozenset[str] | None = None
    methods: frozenset[str] | None = None


class KeyEntry(BaseModel):
    """An entry of the keys file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$", to_lower=True)]
    rate: str | None = None
    budget: int | str | None = None
    models: frozenset[str] | None = None
    methods: frozenset[str] | None = None

    @field_validator("rate")
    @classmethod
    def _check_rate(cls, text: str | None) -> str | None:
        if text is not None:
            parse_rate(text)
        return text

    @field_validator("budget")
    @classmethod
    def _check_budget(cls, value: int | str | None) -> int | str | None:
        if value is not None:
            parse_budget(value)
        return value

    def caller(self, name: str) -> Caller:
        """Return the holder of this key."""
        return Caller(
            name,
            () if self.rate is None else parse_rate(self.rate),
            None if self.budget is None else parse_budget(self.budget),
            self.models,
            self.methods,
        )


_ENTRIES = TypeAdapter(
    dict[Annotated[str, StringConstraints(pattern=NAME_PATTERN)], KeyEntry],
)


def parse_rate(text: str) -> tuple[RateLimitItem, ...]:
    """Read rates such as `600/minute; 20000/day`.

    Raises:
        ValueError: the text is no rate.
    """
    try:
        return tuple(parse_many(text))
    except ValueError as error:
        raise ValueError("should be like '600/minute' or '10/second; 5000/day'") from error


def parse_budget(value: int | str) -> TokenBudget:
    """Read a budget such as `5000000/month` or a bare number.

    Raises:
        ValueError: the value is no budget.
    """
    number, _, per = str(value).replace("_", "").partition("/")
    periods: dict[str, Literal["life", "day", "month"]] = {
        "": "life",
        "day": "day",
        "month": "month",
    }
    if not number.strip().isdecimal() or per.strip() not in periods:
        raise ValueError("should be a number of tokens, such as 5000000 or '5000000/month'")
    return TokenBudget(int(number), periods[per.strip()])


def read_entries(path: Path) -> dict[str, KeyEntry]:
    """Read a keys file.

    Raises:
        SettingsError: it is missing or not valid.
    """
    try:
        text = path.read_text("utf-8")
        raw: Any = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return _ENTRIES.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"keys file {path}: {where}: {first['msg']}") from error
    except FileNotFoundError as error:
        raise SettingsError(f"keys file {path} does not exist") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"keys file {path} cannot be read: {error}") from error


class KeyFile:
    """The callers of a keys file by digest, read again when the file changes.

    Raises:
        SettingsError: the file is not valid; at the start only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = self._file_stamp()
        self._callers = _by_digest(read_entries(path))
        self._next_check = time.monotonic() + CHECK_SECONDS

    def callers(self) -> Mapping[bytes, Caller]:
        """Return the callers in force."""
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + CHECK_SECONDS
            stamp = self._file_stamp()
            if stamp != self._stamp:
                self._stamp = stamp
                self._reload()
        return self._callers

    def _reload(self) -> None:
        try:
            self._callers = _by_digest(read_entries(self.path))
            log.info("keys file read again: %d keys", len(self._callers))
        except SettingsError as error:
            log.error("%s; the keys read before stay in force", error.for_operator())

    def _file_stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _by_digest(entries: Mapping[str, KeyEntry]) -> dict[bytes, Caller]:
    found: dict[bytes, Caller] = {}
    for name, entry in entries.items():
        digest = bytes.fromhex(entry.sha256)
        if digest in found:
            raise SettingsError(f"keys {found[digest].name!r} and {name!r} have the same sha256")
        found[digest] = entry.caller(name)
    return found
