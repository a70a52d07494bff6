"""Engine settings that the measuring scripts share: fixed, with nothing left to be timed.

Only what a redesign of the package leaves in place is used: `reranker.Settings`, whose fields
may meanwhile be renamed, or moved into a nested section.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import BaseModel, ValidationError


def say(text: str) -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(text + "\n")


def engine_values(dtype: str, threads: int, cache_mb: int) -> dict[str, Any]:
    """Return arguments of `reranker.Settings` that leave nothing to be measured on the machine.

    Each setting is looked up by its names, newest first, at the top level and in nested sections.
    One that is not found keeps its default, with a note on standard error.
    """
    from reranker import Settings

    wanted: tuple[tuple[tuple[str, ...], tuple[object, ...]], ...] = (
        (("dtype",), (dtype,)),
        (("threads",), (threads,)),
        (("cache_mb",), (cache_mb,)),
        (("device",), ("cpu",)),
        (("backend",), ("torch",)),
        (("offline",), (True,)),
        (("autotune", "measure"), (False,)),
        (("max_batch_tokens", "token_budget"), (2048,)),
        (("attn_implementation", "attention"), ("sdpa",)),
        (("cpu_weight_layout", "weights"), ("packed", "prepacked")),
    )
    values: dict[str, Any] = {}
    for names, candidates in wanted:
        path = next((found for name in names if (found := _path(Settings, name))), None)
        if path is None or not any(_put(Settings, values, path, each) for each in candidates):
            note(f"not set, its default stands: {' or '.join(names)}")
    return values


def _path(section: type[BaseModel], name: str) -> tuple[str, ...] | None:
    """Return where a field is: its name, after those of the sections it is nested in."""
    if name in section.model_fields:
        return (name,)
    for outer, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            inner = _path(kind, name)
            if inner is not None:
                return (outer, *inner)
    return None


def _put(
    section: type[BaseModel], values: dict[str, Any], path: tuple[str, ...], value: object
) -> bool:
    """Add a value if the field takes it, and tell whether it does."""
    nested: Any = value
    for name in reversed(path):
        nested = {name: nested}
    try:
        section.model_validate(nested)
    except ValidationError:
        return False
    for name in path[:-1]:
        values = values.setdefault(name, {})
    values[path[-1]] = value
    return True


def to_toml(values: dict[str, Any], table: str = "engine") -> str:
    """Write the settings as a config file's table, nested sections as tables of their own."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    lines = [f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in plain.items())]
    nested = [(name, value) for name, value in values.items() if isinstance(value, dict)]
    return "\n".join([*lines, *(to_toml(value, f"{table}.{name}") for name, value in nested), ""])
