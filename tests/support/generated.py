"""What documents hold between `<!-- KIND: NAME -->` and `<!-- end -->` is generated here.

| marker | what |
|---|---|
| `settings: engine` | a table of settings; `engine.tuning` and `server`, too |
| `settings: renamed` | old names of settings, and what they are called now |
| `models: catalog` | the catalogue |
| `models: fields` | what a config file may say of a model |
| `file: PATH` | a file of the checkout |
| `speed: short`, `speed: full` | the committed results of `python -m lab.speed` |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from lab.speed import markdown
from reranker.hub import catalog
from reranker.hub.overrides import CONFIGURABLE
from reranker.model_card import ModelCard
from reranker.settings import Section, Settings, Tuning
from reranker_server import ServerSettings

ROOT = Path(__file__).parents[2]
SECTIONS: Mapping[str, type[Section]] = {
    "engine": Settings,
    "engine.tuning": Tuning,
    "server": ServerSettings,
}
_MARKED = re.compile(r"<!-- (settings|models|file): (\S+) -->\n.*?<!-- end -->", re.S)
_FIELD = re.compile(r"^ {8}(\w+): (.*?)(?=^ {8}\w+:|^ {4}\S|\Z)", re.M | re.S)


def fill(text: str) -> str:
    """Return a document with everything between markers written again."""
    kinds: Mapping[str, Callable[[str], str]] = {
        "settings": _settings,
        "models": _models,
        "file": _file,
    }

    def write(match: re.Match[str]) -> str:
        return f"<!-- {match[1]}: {match[2]} -->\n{kinds[match[1]](match[2])}\n<!-- end -->"

    return markdown.fill(_MARKED.sub(write, text))


def included(page: Path) -> list[str]:
    """Return the blocks of a page that are files of the checkout."""
    marked = _MARKED.finditer(page.read_text("utf-8"))
    return [match[0] for match in marked if match[1] == "file"]


def _settings(name: str) -> str:
    if name == "renamed":
        rows = [
            (f"`{old}`", f"`{new}`", f"`[{table}]`")
            for table, section in SECTIONS.items()
            for old, new in sorted(section.renamed.items())
        ]
        return _table(("until 0.1", "now", "table"), rows)
    rows = [
        (f"`{key}`", "" if info.default in (None, ()) else json.dumps(info.default), description)
        for key, info in SECTIONS[name].model_fields.items()
        if (description := info.description) is not None
    ]
    return _table((f"`[{name}]`", "default", "meaning"), rows)


def _models(name: str) -> str:
    if name == "fields":
        kinds = {str: "text", int: "number", bool: "true or false"}
        meanings = {
            field: " ".join(meaning.split()).rstrip(".")
            for field, meaning in _FIELD.findall(ModelCard.__doc__ or "")
        }
        rows = [
            (f"`{field}`", kinds[kind], meanings[field]) for field, kind in CONFIGURABLE.items()
        ]
        return _table(("field", "value", "meaning"), rows)
    rows = [
        (
            f"`{card.id}`",
            card.role,
            ", ".join(card.languages),
            f"package `{card.package}`" if card.package else "",
            f"`{card.repo}`" if card.repo else "this package",
            card.license,
        )
        for card in catalog.shipped()
    ]
    return _table(("id", "role", "languages", "installed with", "hub repo", "licence"), rows)


def _file(path: str) -> str:
    language = {".py": "python", ".toml": "toml"}[Path(path).suffix]
    return f"```{language}\n{(ROOT / path).read_text('utf-8')}```"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
