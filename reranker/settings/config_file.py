"""A config file as it was read: its tables, and the line that each key stands in."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reranker.errors import SettingsError

CONFIG_VARIABLE = "RERANKER_CONFIG"


@dataclass(frozen=True, slots=True)
class Config:
    """A config file as read: its tables, and its text to find lines in."""

    path: Path | None = None
    tables: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""

    def where(self, table: str, key: str = "") -> str:
        """Return "file:line: table.key" of a key, or of its table."""
        return f"{self.path}:{self._line(table, key)}: {'.'.join(filter(None, (table, key)))}"

    def _line(self, table: str, key: str) -> int:
        line, inside = 0, False
        for number, content in enumerate(self.text.splitlines(), 1):
            names: list[str] = []
            if header := re.match(r"\s*\[+(.*)", content):
                parts = re.findall(r"""\s*(?:"([^"]*)"|'([^']*)'|([^.\s\]]+))\s*[.\]]""", header[1])
                names = ["".join(part) for part in parts]
                inside = names[:1] == [table]
            if not inside:
                continue
            line = line or number
            if key in names[1:] or (not names and _sets(key, content)):
                return number
        return line or 1


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
        text = path.read_text("utf-8-sig")
        return Config(path, tomllib.loads(text), text)
    except FileNotFoundError as error:
        raise SettingsError(f"config file {path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"config file {path} cannot be read") from error
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        line = found[1] if found else max(1, len(text.splitlines()))  # "at end of document"
        raise SettingsError(f"{path}:{line}: not valid TOML: {error}") from error


def _sets(key: str, content: str) -> bool:
    """Whether a line of TOML gives a key, quoted or dotted or in an inline table, a value."""
    name = re.escape(key)
    pattern = rf"""(?:^|[.{{,])\s*("{name}"|'{name}'|{name})\s*[.=]"""
    return bool(key) and bool(re.search(pattern, content))
