"""Options that `compare` and `tune` share: which labelled queries, which models."""

from __future__ import annotations

from typing import Annotated

import typer

EXTRA = "bench"

Datasets = Annotated[
    list[str],
    typer.Option(
        "--dataset",
        help="BEIR folder, .jsonl file, - for standard input, or 'sample'; may be repeated.",
    ),
]
Model = Annotated[str | None, typer.Option("--model", help="Bi-encoder; default: as configured.")]
ModelCross = Annotated[
    str | None,
    typer.Option(
        "--model-cross",
        help="Cross-encoder; 'none' leaves it out of `best`; default: as configured.",
    ),
]
Split = Annotated[
    str | None, typer.Option(help="Which file of qrels/, where there is more than one.")
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="At most this many queries a data set, evenly spaced.")
]
PoolSize = Annotated[
    int, typer.Option(min=1, help="BM25 candidates a query, where the data has none.")
]
