"""`reranker rank`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reranker.types import DEFAULT_METHOD, DEFAULT_RANK_FIELDS
from reranker_cli import documents_file, output
from reranker_cli.configuration import NO_MODEL, ConfigOption, engine_settings, start_logging

if TYPE_CHECKING:
    from reranker.types import ScoredDocument


def rank(
    query: Annotated[str, typer.Argument(help="What to rank for.")],
    documents: Annotated[
        Path | None,
        typer.Argument(
            help="File of documents: text or JSON, one a line, or a JSON array; or standard input."
        ),
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
            help="Fields of JSON documents to rank on, with commas; may be repeated.",
            show_default="text",
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the scores of each stage.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Rank the documents of a file for a query."""
    from reranker import Reranker
    from reranker.process_tuning import tune_process

    start_logging()
    settings, _ = engine_settings(config)
    cross = model_cross or settings.model_cross
    fields = [field for names in rank_fields or () for field in names.split(",") if field]
    tune_process()
    with Reranker(settings) as reranker:
        ranking = reranker.rank(
            query,
            documents_file.read_documents(documents, fields or DEFAULT_RANK_FIELDS),
            method=method,
            model=model,
            model_cross=None if cross == NO_MODEL else cross,
            top_n=top_n,
            stage1_top_k=stage1_top_k,
            explain=explain,
        )
    rows = [_row(scored, explain) for scored in ranking]
    for warning in ranking.warnings:
        output.warning(warning)
    output.json_value(rows) if as_json else _print(rows)


def _row(scored: ScoredDocument, explain: bool) -> dict[str, Any]:
    row = {
        "index": scored.index,
        "relevance_score": scored.score,
        "document": scored.document.original,
    }
    if explain:
        row |= {"stages": dict(scored.stages), "features": dict(scored.features)}
    return row


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        document = row["document"]
        text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
        stages = "  ".join(f"{name}={value:.3f}" for name, value in row.get("stages", {}).items())
        output.line(f"{row['relevance_score']:.4f}  {row['index']:>4}  {text}  {stages}".rstrip())
