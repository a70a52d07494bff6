"""W5: HTTP servers under closed-loop clients, ours and infinity's.

Small `fast` requests with a cold and a warm cache; all methods and sizes mixed;
and one cross-encoder on ours, with torch and with OpenVINO, and on infinity's, each in float32 and
in the dtype that ours would choose.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lab.peers.environments import OWN
from lab.speed.checkpoints.tokenizer_files import tokenizer_at
from lab.speed.options import RaceOptions
from lab.speed.results import DISAGREES, FAILED, MEASURED, NOT_INSTALLED, Row, WorkloadResult
from lab.speed.workloads import agreement, encoders, servers, texts, traffic
from lab.speed.workloads.race import Observe
from reranker_bench.speed import closed_loop, http_client
from reranker_bench.speed.http_client import HttpClient
from reranker_bench.speed.statistics import percentiles

TOKENS = 64
"""Of a document: short, so that what a server adds can be seen."""

TEXTS = 400
COLD, WARM, MIXED = "fast, cold cache", "fast, warm cache", "mixed methods"
PAIRS = "cross-encoder"


@dataclass(slots=True)
class _Line:
    """One kind of requests to one server."""

    name: str
    dtype: str
    requests: Sequence[bytes]
    server: servers.Server | None = None
    prime: bytes | None = None
    state: str = MEASURED
    why: str | None = None
    loads: dict[int, list[closed_loop.Load]] = field(default_factory=dict)


def w5(options: RaceOptions, observe: Observe) -> WorkloadResult:
    """Measure the servers."""
    cross = encoders.minilm(options)
    source = texts.collection(options.data)
    tokenizer = tokenizer_at(cross)
    queries = [texts.single_spaced(query) for query in source.queries.values()]
    documents = texts.snippets(source, tokenizer, TEXTS, TOKENS)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lines = _start(options, cross, folder, (queries, documents), observe, stack)
        _check(lines)
        _measure([line for line in lines if line.server is not None], options, observe)
        rows = [row for line in lines for row in _rows(line, options.clients)]
    settings = options.to_json() | {
        "data": source.name,
        "seconds": options.seconds,
        "tokens": TOKENS,
    }
    return WorkloadResult(
        "W5 HTTP servers", "requests/s", rows, _comparisons(lines, options.clients), settings
    )


def _start(
    options: RaceOptions,
    cross: Path,
    folder: Path,
    material: tuple[list[str], list[str]],
    observe: Observe,
    stack: ExitStack,
) -> list[_Line]:
    small, pairs = traffic.small_fast(*material), traffic.pairs(*material)
    observe("starting our servers")
    fresh = stack.enter_context(servers.own(_sub(folder, "a"), cross, options))
    keeping = stack.enter_context(servers.own(_sub(folder, "b"), cross, options, cache_mb=1024))
    lines = [
        _Line(f"{OWN.name} {COLD}", "", small, fresh),
        _Line(f"{OWN.name} {WARM}", "", small, keeping, traffic.all_of(material[1])),
        _Line(f"{OWN.name} {MIXED}", "", traffic.mixed(*material), fresh),
    ]
    for dtype in dict.fromkeys(("float32", encoders.own_dtype(options))):
        for name, start in _rivals(options, cross, folder, dtype).items():
            observe(f"starting {name} in {dtype}")
            lines.append(_Line(f"{name} {PAIRS}", dtype, pairs))
            _enter(lines[-1], start, stack)
    return lines


def _rivals(
    options: RaceOptions, cross: Path, folder: Path, dtype: str
) -> dict[str, Callable[[], AbstractContextManager[servers.Server | None]]]:
    """Return what starts each server of the cross-encoder in a dtype."""

    def own(backend: str) -> AbstractContextManager[servers.Server]:
        place = _sub(folder, f"{backend}-{dtype}")
        return servers.own(place, cross, options, dtype, backend=backend)

    found: dict[str, Callable[[], AbstractContextManager[servers.Server | None]]] = {
        OWN.name: partial(own, "torch")
    }
    if encoders.has_openvino(options):
        found[encoders.WITH_OPENVINO] = partial(own, "openvino")
    if servers.INFINITY in options.peers:
        place = _sub(folder, f"infinity-{dtype}")
        found[servers.INFINITY.name] = partial(servers.infinity, place, cross, options, dtype)
    return found


def _enter(
    line: _Line,
    start: Callable[[], AbstractContextManager[servers.Server | None]],
    stack: ExitStack,
) -> None:
    """Start a server that the others can be measured without."""
    try:
        line.server = stack.enter_context(start())
        if line.server is None:
            line.state, line.why = NOT_INSTALLED, "see `make speed-peers`"
    except (servers.ServerFailure, OSError) as error:
        line.state, line.why = FAILED, str(error)


def _check(lines: Sequence[_Line]) -> None:
    """Compare the cross-encoders' scores; a server that computes something else is not timed."""
    rivals = [line for line in lines if line.name.endswith(PAIRS) and line.server is not None]
    answers = [_scores(line) for line in rivals]
    for line, found in zip(rivals, answers, strict=True):
        off = agreement.difference([found], [answers[0]])
        if off > agreement.tolerance(line.dtype):
            line.state, line.server = DISAGREES, None
            line.why = f"scores differ by {off:.2g}"


def _scores(line: _Line) -> list[float]:
    assert line.server is not None
    answer: dict[str, Any] = http_client.ask(line.server.address, line.requests[0])
    found = {each["index"]: float(each["relevance_score"]) for each in answer["results"]}
    return [found[index] for index in sorted(found)]


def _measure(lines: Sequence[_Line], options: RaceOptions, observe: Observe) -> None:
    """Load the servers in turns, level by level, after a few requests off the clock."""
    for line in lines:
        assert line.server is not None
        warm = line.requests[:: max(1, len(line.requests) // 8)]
        for sent in (*warm, *([line.prime] if line.prime else [])):
            http_client.ask(line.server.address, sent)
    for number in range(options.repeats):
        for clients in options.clients:
            for line in lines:
                assert line.server is not None
                observe(f"run {number + 1} of {options.repeats}: {line.name}, {clients} clients")
                load = closed_loop.run_load(
                    partial(HttpClient, line.server.address),
                    line.requests,
                    clients,
                    options.seconds,
                    number,
                )
                line.loads.setdefault(clients, []).append(load)


def _rows(line: _Line, levels: Sequence[int]) -> list[Row]:
    if line.server is None:
        return [Row(line.name, line.dtype, line.state, line.why)]
    rows, peak = [], line.server.peak_mb
    for clients in levels:
        loads = line.loads[clients]
        seconds = [each for load in loads for each in load.seconds]
        extra: dict[str, Any] = percentiles(seconds) if seconds else {}
        extra["errors"] = sum(sum(load.errors.values()) for load in loads)
        extra |= {"peak_mb": round(peak)} if peak else {}
        rates = tuple(load.rate for load in loads)
        rows.append(Row(_label(line, clients), line.dtype, rates=rates, extra=extra))
    return rows


def _label(line: _Line, clients: int) -> str:
    return f"{line.name}, {clients} client{'s' if clients > 1 else ''}"


def _comparisons(lines: Sequence[_Line], levels: Sequence[int]) -> list[tuple[str, str]]:
    """Hold many clients against one, and our servers against infinity's in the same format."""
    places = [
        (line, clients, f"{_label(line, clients)} {line.dtype}".strip())
        for line in lines
        for clients in levels
    ]
    found = {(line.name, line.dtype, clients): label for line, clients, label in places}
    theirs = f"{servers.INFINITY.name} {PAIRS}"
    pairs = [
        (label, found[line.name, line.dtype, levels[0]])
        for line, clients, label in places
        if clients != levels[0]
    ]
    return pairs + [
        (label, found[theirs, line.dtype, clients])
        for line, clients, label in places
        if line.name.endswith(PAIRS)
        and line.name != theirs
        and (theirs, line.dtype, clients) in found
    ]


def _sub(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir()
    return place
