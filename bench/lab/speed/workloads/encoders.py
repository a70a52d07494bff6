"""W1 to W3: one model, the same pools, everybody in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lab.peers.environments import OWN, Peer, interpreter
from lab.peers.process import PeerProcess
from lab.speed.checkpoints import builders
from lab.speed.checkpoints.geometry import MINILM_L6, XLMR_BASE, XLMR_LARGE, Geometry
from lab.speed.checkpoints.tokenizer_files import tokenizer_at
from lab.speed.options import RaceOptions
from lab.speed.results import Row, WorkloadResult
from lab.speed.workloads import texts
from lab.speed.workloads.race import Observe, Side, race

Role = Literal["cross-encoder", "bi-encoder"]
NAIVE = "sentence-transformers float32"
"""The rival of the headline: the library as its users call it."""

WITH_OPENVINO = "reranker[openvino]"
"""The extra installed and the choice left to the engine."""

BI_WINDOW = 256  # that all-MiniLM-L6-v2 says of itself


def w1(options: RaceOptions, observe: Observe) -> WorkloadResult:
    """Measure the cross-encoder of MiniLM-L6 geometry on real pools."""
    folder = minilm(options)
    title = "W1 cross-encoder, MiniLM-L6"
    return _measure(options, observe, title, folder, "cross-encoder", MINILM_L6)


def w2(options: RaceOptions, observe: Observe, geometry: Geometry | None = None) -> WorkloadResult:
    """Measure the cross-encoder of bge-reranker-base's geometry on the same texts."""
    sizes = geometry or XLMR_BASE
    corpus = [*texts.collection(options.data).corpus.values()]
    folder = builders.xlmr_cross_encoder(options.cache / "w2", sizes, corpus)
    title = "W2 cross-encoder, XLM-R-base"
    return _measure(options, observe, title, folder, "cross-encoder", sizes, documents=50)


def w3(options: RaceOptions, observe: Observe) -> WorkloadResult:
    """Measure the bi-encoder all-MiniLM-L6-v2."""
    from lab.training.base import base_folder

    title = "W3 bi-encoder, MiniLM-L6"
    window = BI_WINDOW
    return _measure(
        options,
        observe,
        title,
        base_folder(),
        "bi-encoder",
        MINILM_L6,
        window=window,
    )


def w3m3(
    options: RaceOptions, observe: Observe, geometry: Geometry | None = None
) -> WorkloadResult:
    """Measure a bi-encoder of bge-m3's geometry."""
    sizes = geometry or XLMR_LARGE
    corpus = texts.collection(options.data).corpus.values()
    folder = builders.xlmr_bi_encoder(options.cache / "w3m3", sizes, corpus)
    title = "W3 bi-encoder, bge-m3 geometry"
    return _measure(options, observe, title, folder, "bi-encoder", sizes, documents=32)


def minilm(options: RaceOptions) -> Path:
    """Return the folder of the cross-encoder of W1, written when first asked for."""
    corpus = [*texts.collection(options.data).corpus.values()]
    return builders.minilm_cross_encoder(options.cache / "w1", corpus)


def _measure(
    options: RaceOptions,
    observe: Observe,
    title: str,
    folder: Path,
    role: Role,
    geometry: Geometry,
    *,
    documents: int = 100,
    window: int | None = None,
) -> WorkloadResult:
    source = texts.collection(options.data)
    tokenizer = tokenizer_at(folder)
    pair = role == "cross-encoder"
    limit = window or geometry.window
    found = [
        texts.truncate_pool(pool, tokenizer, limit, pair=pair)
        for pool in texts.pools(source, options.queries or 1, options.documents or documents)
    ]
    sizes = texts.lengths(found, tokenizer, pair=pair)
    sides = sides_of(options, folder, role, limit)
    pools = [(pool.query, pool.documents) for pool in found]
    rows = race(sides, pools, options.repeats, observe, len(sizes))
    flops = sum(geometry.flops(size) for size in sizes) / len(sizes)
    return WorkloadResult(
        title,
        "pairs/s" if pair else "documents/s",
        [_with_flops(row, flops) for row in rows],
        comparisons(rows),
        options.to_json()
        | {
            "data": source.name,
            "pools": len(found),
            "inputs": len(sizes),
            "tokens_mean": round(sum(sizes) / len(sizes), 1),
            "tokens_max": max(sizes),
            "max_tokens": limit,
            "gflop_per_input": round(flops / 1e9, 2),
        },
    )


def sides_of(options: RaceOptions, folder: Path, role: Role, max_tokens: int) -> list[Side]:
    """Return all sides, the reference first, then the others, and ours in both formats."""
    load = {
        "role": role,
        "folder": str(folder),
        "device": options.device,
        "threads": options.threads,
        "max_tokens": max_tokens,
    }
    sides = []
    for peer in options.peers:
        if role in peer.roles:
            start = _start(peer, options)
            sides += [Side(peer.name, dtype, start, load) for dtype in peer.dtypes]
    return sides + own_sides(options, load)


def has_openvino(options: RaceOptions) -> bool:
    """Whether the `openvino` extra can be measured here."""
    from reranker.backends.openvino import is_installed  # brings torch along

    return options.device == "cpu" and is_installed()


def own_sides(options: RaceOptions, load: Mapping[str, Any]) -> list[Side]:
    """Return us as the base install runs, in float32 where that differs, and OpenVINO in int8."""
    start = _start(OWN, options)
    auto = "auto" if own_dtype(options) != "float32" else "float32"
    torch = {**load, "options": {"backend": "torch"}}
    sides = [Side(OWN.name, dtype, start, torch) for dtype in dict.fromkeys((auto, "float32"))]
    if has_openvino(options):
        int8 = {**load, "options": {"backend": "openvino"}}
        sides.append(Side(WITH_OPENVINO, "int8", start, int8))
    return sides


def comparisons(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return who is held against whom.

    Our first row, which is what the base install gives, and the one with OpenVINO against every
    rival; our float32 row against the rivals in float32.
    """
    ours = [row for row in rows if row.name.startswith(OWN.name)]
    rivals = [row for row in rows if not row.name.startswith(OWN.name)]
    return [
        (row.label, rival.label)
        for number, row in enumerate(ours)
        for rival in rivals
        if number == 0 or row.name != OWN.name or rival.dtype == row.dtype
    ]


def _start(peer: Peer, options: RaceOptions) -> Any:
    python = interpreter(peer, options.environments)
    return python and partial(PeerProcess, python, peer.adapter, options.threads)


def own_dtype(options: RaceOptions) -> str:
    """Return the dtype that the engine chooses here."""
    from reranker.backends.device import choose_device

    return choose_device(options.device).dtype


def _with_flops(row: Row, flops: float) -> Row:
    """Return the row with its TFLOP/s over the tokens read, padding not counted."""
    from dataclasses import replace

    if row.rate is None:
        return row
    tflops = float(f"{row.rate.median * flops / 1e12:.3g}")
    return replace(row, extra={**row.extra, "tflops": tflops})
