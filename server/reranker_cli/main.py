"""The command `reranker`: its commands, and how an error ends it."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from reranker.errors import RerankerError
from reranker_cli import output
from reranker_cli.commands import compare, keys, listings, rank, serve, speed, tune
from reranker_cli.output import Status

log = logging.getLogger(__name__)
app = typer.Typer(
    name="reranker",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve.serve)
app.command()(rank.rank)
app.command()(listings.models)
app.command()(listings.methods)
app.command()(compare.compare)
app.command()(tune.tune)
app.command()(speed.speed)
app.add_typer(keys.app)


def main() -> None:
    """Run the command line; an error is one line and a status, never a traceback."""
    output.escape_unencodable()
    status = run(app)
    if status:
        output.discard()
    sys.exit(status)


def run(command: typer.Typer) -> int:
    """Run the command of `sys.argv`; return its exit status."""
    try:
        try:
            command()
        except SystemExit as end:
            status = end.code
        output.flush()
    except RerankerError as error:
        output.error(error.for_operator())
    except BrokenPipeError:  # the reader of the output has closed it
        pass
    except OSError as error:
        log.debug("failed", exc_info=True)
        output.error(f"{error.filename or 'standard output'}: {error.strerror or error}")
    else:
        return status if isinstance(status, int) else Status.OK
    return Status.FAILED


def _version(asked: bool) -> None:
    if asked:
        from reranker import __version__

        output.line(f"reranker {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Rerank documents: one request names a method, and so chooses speed or accuracy."""


if __name__ == "__main__":
    main()
