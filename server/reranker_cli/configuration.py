"""The config file, logging and optional packages, as commands need them."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from reranker import settings
from reranker.errors import MissingExtra, SettingsError
from reranker.settings import Settings
from reranker.settings.config_file import Config

NO_MODEL = "none"
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")]
_CHATTY = ("faiss", "httpx", "huggingface_hub", "sentence_transformers", "transformers")


def engine_settings(config: Path | None) -> tuple[Settings, Config]:
    """Resolve the engine's settings.

    Raises:
        SettingsError: a value is wrong, or no part knows a key or RERANKER_* variable.
    """
    from reranker_server.settings import ServerSettings

    file = settings.read_config(config)
    settings.check_known({"engine": Settings, "server": ServerSettings}, file)
    return settings.resolve(Settings, "engine", file, {}).value, file


def start_logging(level: str = "warning", source: str = "log_level") -> None:
    """Log to standard error; of libraries, warnings alone.

    Args:
        level: the least that is shown.
        source: where the level was set.

    Raises:
        SettingsError: there is no such level.
    """
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        known = "debug, info, warning, error, critical"
        raise SettingsError(f"{source}: no log level {level!r}; known: {known}")
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Import what belongs to an extra.

    Raises:
        MissingExtra: a package of it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{error.name} is not installed; it belongs to the extra {name!r}: "
            f"pip install '.[{name}]' in the project's folder"
        ) from error
