"""`reranker models` and `reranker methods`: what a request can name."""

from __future__ import annotations

from typing import Annotated

import typer

from reranker_cli import output
from reranker_cli.configuration import ConfigOption, engine_settings

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def models(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the models that can be named, and where they would run."""
    from reranker import Reranker

    settings, _ = engine_settings(config)
    with Reranker(settings) as reranker:
        pool = reranker.models
        rows = [
            {
                "id": name,
                "role": card.role,
                "weights": card.id,
                "source": str(card.path or card.package or card.repo or f"overlay on {card.base}"),
                "license": card.license,
            }
            for name, card in pool.catalog.cards()
        ]
        device = pool.device
    if as_json:
        output.json_value(rows)
        return
    output.table(rows, whole=("id", "role"))
    output.note(f"models run on {device}, dtype {settings.dtype}, backend {settings.backend}")


def methods(as_json: JsonOption = False) -> None:
    """List the registered methods."""
    from reranker.pipeline import registry

    found, problems = registry.available()
    for problem in problems:
        output.warning(problem.for_operator())
    rows = [
        {"method": each.name, "needs": ", ".join(each.roles), "what": each.summary}
        for each in found
    ]
    output.json_value(rows) if as_json else output.table(rows, whole=("method",))
