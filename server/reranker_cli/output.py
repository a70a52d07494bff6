"""What commands print: rows as a table or as JSON, lines, warnings and errors."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import IntEnum
from io import TextIOWrapper
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from reranker.errors import RerankerError

PROGRAM = "reranker"
_PIPE_WIDTH = 10_000  # columns of a table that no terminal shows are never cut

console = Console(stderr=True, soft_wrap=True, highlight=False)
"""Standard error: progress, summaries, warnings and errors; results go to standard output."""


class Status(IntEnum):
    """Exit statuses. Of commands without a report, every error is `FAILED`."""

    OK = 0
    FAILED = 1
    WRONG_INPUT = 2
    INTERRUPTED = 130


def line(text: str = "") -> None:
    """Print a line of the result."""
    sys.stdout.write(text + "\n")


def json_value(value: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> None:
    """Print a value as JSON, with escapes where the terminal's encoding needs them."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    line(text)


def table(rows: Sequence[Mapping[str, str]], whole: Collection[str] = ()) -> None:
    """Print rows as a table.

    Args:
        rows: all with the same keys, which are the headings.
        whole: columns that are not wrapped on a terminal either.
    """
    if not rows:
        return
    shown = Table(box=None, pad_edge=False)
    for name in rows[0]:
        shown.add_column(name, no_wrap=name in whole)
    for row in rows:
        shown.add_row(*row.values())
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    with (printer := Console(width=width, markup=False, highlight=False)).capture() as text:
        printer.print(shown)
    for each in text.get().splitlines():
        line(each.rstrip())


def note(text: str) -> None:
    """Print a line about the work on standard error."""
    console.print(text, markup=False)


def warning(text: str) -> None:
    """Print a warning on standard error."""
    note(f"{PROGRAM}: warning: {text}")


def error(text: str) -> None:
    """Print an error on standard error, each of its lines with the program's name."""
    for each in text.splitlines():
        note(f"{PROGRAM}: {each}")


@contextlib.contextmanager
def wrong_input() -> Iterator[None]:
    """End the command with `Status.WRONG_INPUT` on an error of ours."""
    try:
        yield
    except RerankerError as found:
        error(found.for_operator())
        raise typer.Exit(Status.WRONG_INPUT) from found


def escape_unencodable() -> None:
    """Let a terminal that cannot show a character show its escape, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Write out what standard output still holds; raises OSError where it cannot."""
    sys.stdout.flush()


def discard() -> None:
    """Drop what standard output still holds, so that the interpreter's end does not fail on it."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
