"""W6: time and memory as requests grow, in documents and in tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.peers.process import PeerSession
from lab.speed.checkpoints.geometry import MINILM_L6
from lab.speed.checkpoints.tokenizer_files import tokenizer_at
from lab.speed.options import RaceOptions
from lab.speed.results import Row, WorkloadResult
from lab.speed.workloads import encoders, texts
from lab.speed.workloads import methods as engine
from lab.speed.workloads.race import Observe

DOCUMENTS = (10, 100, 1_000, 10_000)
SHORT = 32
"""Tokens of a document while their number grows."""

TOKENS = (16, 32, 64, 128, 256, 512)
FEW = 32
"""Documents of a request while their size grows."""


@dataclass(slots=True)
class _Step:
    """One size: its request, and what it took."""

    name: str
    documents: list[str]
    arguments: dict[str, Any]
    rates: list[float] = field(default_factory=list)
    peak: float = 0.0


def w6(
    options: RaceOptions,
    observe: Observe,
    documents: Sequence[int] = DOCUMENTS,
    tokens: Sequence[int] = TOKENS,
) -> WorkloadResult:
    """Measure `fast` on 10 to 10,000 documents, and the cross-encoder on 16 to 512 tokens."""
    folder = encoders.minilm(options)
    source = texts.collection(options.data)
    query = texts.single_spaced(next(iter(source.queries.values())))
    tokenizer = tokenizer_at(folder)
    taken = len(tokenizer.encode(query).ids) + 1  # the pair's own separator
    steps = [
        _Step(
            f"fast, {count:,} documents",
            texts.snippets(source, tokenizer, count, SHORT),
            {"method": "fast"},
        )
        for count in documents
    ] + [
        _Step(
            f"standard, {size} tokens",
            texts.snippets(source, tokenizer, FEW, min(size, MINILM_L6.window - taken)),
            {"method": "standard", "model_cross": "measured"},
        )
        for size in tokens
    ]
    session = engine.start_engine(options)
    try:
        loaded = engine.load_engine(session, options, cache_mb=0, folder=folder)
        for number in range(options.repeats):
            for step in steps:
                observe(f"run {number + 1} of {options.repeats}: {step.name}")
                _run(session, query, step)
    finally:
        session.close()
    return _found(options, source.name, steps, loaded)


def _run(session: PeerSession, query: str, step: _Step) -> None:
    session.ask("texts", pools=[[query, step.documents]])
    answer = session.ask("run", arguments=step.arguments)
    step.rates.append(len(step.documents) / answer["seconds"])
    step.peak = max(step.peak, answer["peak_mb"] or 0.0)


def _found(
    options: RaceOptions, data: str, steps: Sequence[_Step], loaded: dict[str, Any]
) -> WorkloadResult:
    rows = [
        Row(
            step.name,
            versions=loaded["versions"],
            settings=loaded["settings"],
            rates=tuple(step.rates),
            extra={"peak_mb": round(step.peak)},
        )
        for step in steps
    ]
    names = [step.name for step in steps]
    base = "fast, 100 documents"
    against = [(name, base) for name in names if name.startswith("fast") and name != base]
    settings = options.to_json() | {"data": data, "tokens": SHORT, "documents": FEW}
    return WorkloadResult("W6 growth", "documents/s", rows, against, settings)
