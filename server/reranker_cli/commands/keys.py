"""`reranker keys`: make, list and revoke API keys. A running server reads the file again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import tomlkit
import typer

from reranker.errors import InvalidRequest, SettingsError
from reranker.pipeline import registry
from reranker_cli import output
from reranker_cli.configuration import ConfigOption
from reranker_server.access.keys import (
    NAME_PATTERN,
    KeyEntry,
    parse_budget,
    parse_rate,
    read_entries,
)

PREFIX = "rr-"  # so that secret scanners can find keys
_BYTES = 32

FileOption = Annotated[
    Path | None, typer.Option("--file", help="Keys file; by default `keys_file` of the settings.")
]

app = typer.Typer(name="keys", help="Make, list and revoke API keys.", no_args_is_help=True)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Who it is for; budgets are booked under it.")],
    rate: Annotated[str | None, typer.Option(help="Such as '600/minute; 20000/day'.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Tokens, such as 5000000, 200000/day or 5000000/month.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="A model it may use; may be repeated.", show_default="all"),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method it may use; may be repeated.", show_default="all"),
    ] = None,
    file: FileOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a key, print it once, and keep its digest in the file."""
    path = _path(file, config)
    entries = read_entries(path) if path.exists() else {}
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidRequest("a name is letters, digits, '.', '_' and '-', at most 64")
    if name in entries:
        raise InvalidRequest(f"there is a key {name!r} already; revoke it first")
    key = PREFIX + secrets.token_urlsafe(_BYTES)
    limits = {"rate": rate, "budget": budget, "models": model, "methods": method}
    _check(rate, budget)
    entry = {field: value for field, value in limits.items() if value}
    _change(path, name, {"sha256": hashlib.sha256(key.encode()).hexdigest(), **entry})
    for unknown in sorted(set(method or ()) - set(registry.names())):
        output.warning(f"no method {unknown!r} is installed here")
    output.note(f"key {name!r} written to {path}; it is shown this once:")
    output.line(key)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    file: FileOption = None,
    config: ConfigOption = None,
) -> None:
    """List the keys' names and limits."""
    entries = read_entries(_path(file, config))
    rows = [_row(name, entry) for name, entry in entries.items()]
    if as_json:
        output.json_value(rows)
        return
    output.table([{key: _shown(value) for key, value in row.items()} for row in rows], ("name",))


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    file: FileOption = None,
    config: ConfigOption = None,
) -> None:
    """Take a key out of the file; it stops working within a second or two."""
    path = _path(file, config)
    if name not in read_entries(path):
        raise InvalidRequest(f"there is no key {name!r}")
    _change(path, name, None)
    output.note(f"key {name!r} revoked")


def _path(file: Path | None, config: Path | None) -> Path:
    if file is not None:
        return file
    from reranker import settings
    from reranker_server.settings import ServerSettings

    server = settings.resolve(ServerSettings, "server", settings.read_config(config), {}).value
    if server.keys_file is None:
        raise SettingsError("name a keys file with --file, or set keys_file")
    return server.keys_file


def _check(rate: str | None, budget: str | None) -> None:
    readers: tuple[tuple[str, str | None, Callable[[str], object]], ...] = (
        ("rate", rate, parse_rate),
        ("budget", budget, parse_budget),
    )
    for name, value, read in readers:
        try:
            if value is not None:
                read(value)
        except ValueError as error:
            raise InvalidRequest(f"--{name} {error}") from error


def _row(name: str, entry: KeyEntry) -> dict[str, Any]:
    return {
        "name": name,
        "rate": entry.rate,
        "budget": entry.budget,
        "models": sorted(entry.models) if entry.models is not None else None,
        "methods": sorted(entry.methods) if entry.methods is not None else None,
        "sha256": entry.sha256[:12],
    }


def _shown(value: Any) -> str:
    return "any" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def _change(path: Path, name: str, entry: Mapping[str, Any] | None) -> None:
    """Put an entry into the file, or take it out; comments stay, and no reader sees half a file.

    Raises:
        InvalidRequest: the file's folder does not exist.
    """
    if not path.parent.is_dir():
        raise InvalidRequest(f"{path.parent}: no such folder")
    text = path.read_text("utf-8") if path.exists() else ""
    as_json = path.suffix == ".json"
    document: Any = json.loads(text or "{}") if as_json else tomlkit.parse(text)
    if entry is None:
        del document[name]
    else:
        document[name] = dict(entry)
    content = json.dumps(document, indent=2) + "\n" if as_json else tomlkit.dumps(document)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        if path.exists():
            Path(temporary).chmod(path.stat().st_mode & 0o777)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
