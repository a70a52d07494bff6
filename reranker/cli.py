"""The command line: the composition root, and the only place that prints.

It may import every package, and does so inside the commands, so that `reranker --help` is
quick and a missing extra is noticed only by the command that needs it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from reranker import settings
from reranker.config_file import Config
from reranker.errors import InvalidRequest, RerankerError
from reranker.settings import Settings
from reranker.types import DEFAULT_RANK_FIELDS, Document

app = typer.Typer(
    name="reranker",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")]
NO_MODEL = "none"


def main() -> None:
    """Run the command line; an error of ours is one line and exit status 1."""
    try:
        app()
    except RerankerError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"reranker: {error.for_operator()}", markup=False
        )
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        from reranker import __version__

        sys.stdout.write(f"reranker {__version__}\n")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Rerank documents: one request names a method, and so chooses speed or accuracy."""


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [default: 8000].")] = None,
    config: ConfigOption = None,
) -> None:
    """Serve the HTTP API."""
    from reranker_server.run import serve as run
    from reranker_server.settings import ServerSettings

    engine, read = _settings(config)
    server = settings.resolve(ServerSettings, "server", read, {"host": host, "port": port})
    _log(server.value.log_level)
    for name, source in server.sources.items():
        logging.getLogger("reranker.settings").debug("server.%s from %s", name, source)
    run(engine, server.value)


@app.command()
def rank(
    query: Annotated[str, typer.Argument(help="What is looked for.")],
    documents: Annotated[
        Path | None,
        typer.Argument(help="File with one document a line, text or JSON; or standard input."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="fast, standard, optimal, best or a registered name.")
    ] = "fast",
    model: Annotated[str | None, typer.Option(help="Bi-encoder id.")] = None,
    model_cross: Annotated[
        str | None, typer.Option(help="Cross-encoder id; 'none' leaves it out of `best`.")
    ] = None,
    top_n: Annotated[int | None, typer.Option(help="How many results.")] = None,
    stage1_top_k: Annotated[int, typer.Option(help="How many leave stage 1.")] = 100,
    rank_fields: Annotated[
        list[str], typer.Option(help="Field of a JSON document to rank on; may be given again.")
    ] = [*DEFAULT_RANK_FIELDS],  # noqa: B006  # typer copies it
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the scores of each stage.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Rank the lines of a file for a query."""
    from reranker import Reranker

    _log("warning")
    chosen, _ = _settings(config)
    cross = model_cross or chosen.model_cross
    with Reranker(chosen) as reranker:
        ranking = reranker.rank(
            query,
            _read_documents(documents, rank_fields),
            method=method,
            model=model,
            model_cross=None if cross == NO_MODEL else cross,
            top_n=top_n,
            stage1_top_k=stage1_top_k,
            explain=explain,
        )
    rows = [
        {
            "index": scored.index,
            "relevance_score": scored.score,
            "document": scored.document.original,
        }
        | ({"stages": dict(scored.stages), "features": dict(scored.features)} if explain else {})
        for scored in ranking
    ]
    for warning in ranking.warnings:
        Console(stderr=True, soft_wrap=True).print(f"reranker: {warning}", markup=False)
    _print_json(rows) if as_json else _print_ranking(rows)


@app.command()
def models(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models that can be named, and where they would run."""
    from reranker import Reranker

    chosen, _ = _settings(config)
    provider: Any = Reranker(chosen).models
    hardware = provider.hardware
    rows = [
        {
            "id": name,
            "role": card.role,
            "weights": card.id,
            "source": str(card.path or card.package or card.repo or f"overlay on {card.base}"),
            "license": card.license,
        }
        for name, card in provider.catalog.cards()
    ]
    if as_json:
        _print_json(rows)
        return
    _print_table(rows)
    Console().print(
        f"on {hardware.device}, {hardware.dtype}, {hardware.threads} threads, "
        f"{hardware.token_budget} padded tokens a batch"
        + (", measured anew when a model is warmed" if hardware.measure else ""),
        highlight=False,
    )


@app.command()
def methods(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the registered methods."""
    from reranker import registry

    found = [registry.get(name) for name in registry.names()]
    rows = [{"method": m.name, "needs": ", ".join(m.roles), "what": m.summary} for m in found]
    _print_json(rows) if as_json else _print_table(rows)


def _mount() -> None:
    """Add the commands of the other packages; they import what is heavy only when run."""
    from reranker_bench.cli import register as add_bench
    from reranker_server.keys_cli import register as add_keys

    add_bench(app)
    add_keys(app)


def _settings(config: Path | None) -> tuple[Settings, Config]:
    """Resolve the engine's settings; a key or variable that no part knows is an error."""
    from reranker_server.settings import ServerSettings

    read = settings.read_config(config)
    settings.check_known({"engine": Settings, "server": ServerSettings}, read)
    return settings.resolve(Settings, "engine", read, {}).value, read


def _read_documents(path: Path | None, rank_fields: Sequence[str]) -> list[Document]:
    if path is None and sys.stdin.isatty():
        raise InvalidRequest("name a file of documents, or pipe them in, one a line")
    try:
        text = sys.stdin.read() if path is None else path.read_text("utf-8")
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path or 'standard input'} is not UTF-8 text") from error
    lines = {n: line for n, line in enumerate(text.splitlines(), start=1) if line.strip()}
    if not lines:
        raise InvalidRequest(f"{path or 'standard input'} holds no documents")
    documents = []
    for number, line in lines.items():
        try:
            documents.append(Document.of(_read_line(line), rank_fields))
        except InvalidRequest as error:
            raise InvalidRequest(f"line {number}: {error.message}") from error
    return documents


def _read_line(line: str) -> str | dict[str, Any]:
    """Read a line of text, or a JSON object."""
    if line.lstrip().startswith("{"):
        try:
            value = json.loads(line)
        except ValueError:
            return line
        if isinstance(value, dict):
            return value
    return line


def _print_json(rows: Iterable[dict[str, Any]]) -> None:
    sys.stdout.write(json.dumps(list(rows), ensure_ascii=False, indent=2) + "\n")


def _print_ranking(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        document = row["document"]
        text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
        extra = "  ".join(f"{name}={value:.3f}" for name, value in row.get("stages", {}).items())
        sys.stdout.write(
            f"{row['relevance_score']:.4f}  {row['index']:>4}  {text}  {extra}".rstrip() + "\n"
        )


def _print_table(rows: list[dict[str, str]]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, no_wrap=name in ("id", "method", "role"))
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


def _log(level: str) -> None:
    logging.basicConfig(
        level=level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # Their chatter about requests and progress is not ours to show.
    for name in ("faiss", "httpx", "huggingface_hub", "sentence_transformers", "transformers"):
        logging.getLogger(name).setLevel(logging.WARNING)


_mount()

if __name__ == "__main__":
    main()
