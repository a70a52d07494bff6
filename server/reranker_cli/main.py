"""The command line: the composition root, and the only place that prints.

It may import every package, and does so inside the commands, so that `reranker --help` is
quick and a missing extra is noticed only by the command that needs it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from reranker import settings
from reranker.errors import RerankerError
from reranker.settings import Settings
from reranker.settings.config_file import Config
from reranker.types import DEFAULT_METHOD, DEFAULT_RANK_FIELDS
from reranker_cli import documents_file

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
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on.", show_default="8000")
    ] = None,
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
    ] = DEFAULT_METHOD,
    model: Annotated[str | None, typer.Option(help="Bi-encoder id.")] = None,
    model_cross: Annotated[
        str | None, typer.Option(help="Cross-encoder id; 'none' leaves it out of `best`.")
    ] = None,
    top_n: Annotated[int | None, typer.Option(help="How many results.")] = None,
    stage1_top_k: Annotated[int, typer.Option(help="How many leave stage 1.")] = 100,
    rank_fields: Annotated[
        list[str] | None,
        typer.Option(
            help="Field of JSON documents to rank on; may be repeated.", show_default="text"
        ),
    ] = None,
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
            documents_file.read(documents, rank_fields or DEFAULT_RANK_FIELDS),
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
    from reranker.pipeline import registry

    found = [registry.get(name) for name in registry.names()]
    rows = [{"method": m.name, "needs": ", ".join(m.roles), "what": m.summary} for m in found]
    _print_json(rows) if as_json else _print_table(rows)


def _mount() -> None:
    """Add the commands of the other packages; they import what is heavy only when run."""
    from reranker_cli.bench import register as add_bench
    from reranker_cli.keys import register as add_keys

    add_bench(app)
    add_keys(app)


def _settings(config: Path | None) -> tuple[Settings, Config]:
    """Resolve the engine's settings; a key or variable that no part knows is an error."""
    from reranker_server.settings import ServerSettings

    read = settings.read_config(config)
    settings.check_known({"engine": Settings, "server": ServerSettings}, read)
    return settings.resolve(Settings, "engine", read, {}).value, read


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
