"""`reranker speed`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from reranker_cli import output as out
from reranker_cli.commands.collection_options import Model, ModelCross
from reranker_cli.configuration import ConfigOption, engine_settings, start_logging
from reranker_cli.output import Status, console


def speed(
    url: Annotated[
        str | None,
        typer.Option(
            help="Address of a running server, such as http://127.0.0.1:8000.",
            show_default="an engine in this process",
        ),
    ] = None,
    api_key: Annotated[str | None, typer.Option(help="Key for that server.")] = None,
    methods: Annotated[str, typer.Option(help="With commas.")] = "fast,standard,optimal,best",
    model: Model = None,
    model_cross: ModelCross = None,
    dataset: Annotated[
        str, typer.Option(help="Whose texts are ranked: BEIR folder, .jsonl file or 'sample'.")
    ] = "sample",
    documents: Annotated[int, typer.Option(min=1, help="Documents a request.")] = 20,
    clients: Annotated[
        str, typer.Option(help="Closed-loop clients, one level after the other, with commas.")
    ] = "1,8",
    seconds: Annotated[float, typer.Option(min=0.1, help="Of load in one repeat.")] = 3.0,
    repeats: Annotated[int, typer.Option(min=1, help="Of each load, in turns.")] = 3,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the numbers, as JSON.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Measure how fast a server, or the engine with the configured models, ranks.

    Cold requests hold new texts; warm ones hold documents that were ranked before.
    """
    start_logging()
    with out.wrong_input():
        settings, _ = engine_settings(config)
        from reranker_bench.speed.experiment import SpeedOptions, measure_speed
        from reranker_bench.speed.http_client import Address

        options = SpeedOptions(
            methods=[name.strip() for name in methods.split(",") if name.strip()],
            address=Address.of(url, api_key) if url else None,
            model=model,
            model_cross=model_cross,
            dataset=dataset,
            documents=documents,
            clients=_levels(clients),
            seconds=seconds,
            repeats=repeats,
        )
        with console.status("measuring") as status:
            result = measure_speed(options, settings, status.update)
    if output is not None:
        output.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    if as_json:
        out.json_value(result)
    else:
        out.table([_shown(row) for row in result["rows"]])
        if result["matmul_gflops"]:
            peak = result["matmul_gflops"]["median"]
            out.note(f"matmul peak of the machine: {peak:,.0f} GFLOP/s in float32")
    failed = any(row["errors"] for row in result["rows"])
    raise typer.Exit(Status.FAILED if failed else Status.OK)


def _levels(text: str) -> list[int]:
    from reranker.errors import InvalidRequest

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise InvalidRequest(f"--clients {text}: write whole numbers with commas, like 1,8,32")
    return [int(part) for part in dict.fromkeys(parts)]


def _shown(row: dict[str, Any]) -> dict[str, str]:
    def rate(name: str) -> str:
        found = row[name]
        return f"{found['median']:.3g} ({found['low']:.3g} to {found['high']:.3g})"

    return {
        "method": row["method"],
        "caches": row["state"],
        "clients": str(row["clients"]),
        "requests/s": rate("requests_per_second"),
        "documents/s": rate("documents_per_second"),
        "p50 ms": f"{row.get('p50_ms', float('nan')):,.1f}",
        "p95 ms": f"{row.get('p95_ms', float('nan')):,.1f}",
        "errors": ", ".join(f"{count} x {kind}" for kind, count in row["errors"].items()),
    }
