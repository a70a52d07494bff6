"""W5 against servers of a few lines."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from lab.peers.environments import PEERS
from lab.speed.options import RaceOptions
from lab.speed.workloads import encoders, servers, serving


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        off = self.server.off  # type: ignore[attr-defined]
        rows = [
            {"index": i, "relevance_score": off + 1 / len(text)}
            for i, text in enumerate(body["documents"])
        ]
        content = json.dumps({"results": rows}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def running(off=0.0):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.off = off
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield servers.Server(server.server_port, SimpleNamespace(pid=os.getpid()))
        server.shutdown()
        thread.join()


@pytest.fixture
def measure(monkeypatch, checkpoint):
    def measure(infinity, openvino=False, dtype="float32", **options):
        monkeypatch.setattr(encoders, "has_openvino", lambda _: openvino)
        monkeypatch.setattr(encoders, "own_dtype", lambda _: dtype)
        monkeypatch.setattr(encoders, "minilm", lambda options: checkpoint("bert-cross"))
        monkeypatch.setattr(serving.servers, "own", lambda *_, **__: running())
        monkeypatch.setattr(serving.servers, "infinity", infinity)
        chosen = RaceOptions(**{"repeats": 2, "seconds": 0.05, "clients": (1, 2), **options})
        return serving.w5(chosen, lambda _: None)

    return measure


def test_each_server_meets_each_level_in_each_repeat(measure) -> None:
    found = measure(lambda *_: running())
    assert len(found.rows) == 5 * 2
    assert all(len(row.rates) == 2 and row.extra["errors"] == 0 for row in found.rows)
    assert all({"p50_ms", "p95_ms", "p99_ms"} <= set(row.extra) for row in found.rows)
    pairs = [(each["row"], each["against"]) for each in found.ratios()]
    own, theirs = ("reranker cross-encoder", "infinity-emb cross-encoder")
    assert (f"{own}, 2 clients float32", f"{theirs}, 2 clients float32") in pairs
    assert (f"{own}, 1 client float32", f"{theirs}, 1 client float32") in pairs
    assert ("reranker mixed methods, 2 clients", "reranker mixed methods, 1 client") in pairs


def test_with_openvino_our_other_server_meets_infinitys_too(measure) -> None:
    found = measure(lambda *_: running(), openvino=True)
    assert len(found.rows) == 6 * 2
    own, theirs = ("reranker[openvino] cross-encoder", "infinity-emb cross-encoder")
    pairs = [(each["row"], each["against"]) for each in found.ratios()]
    assert (f"{own}, 2 clients float32", f"{theirs}, 2 clients float32") in pairs


def test_where_ours_would_choose_another_format_all_meet_in_that_too(measure) -> None:
    found = measure(lambda *_: running(), openvino=True, dtype="bfloat16")
    assert len(found.rows) == 9 * 2
    theirs = "infinity-emb cross-encoder, 2 clients"
    pairs = [(each["row"], each["against"]) for each in found.ratios()]
    for name in ("reranker", "reranker[openvino]"):
        for dtype in ("float32", "bfloat16"):
            assert (f"{name} cross-encoder, 2 clients {dtype}", f"{theirs} {dtype}") in pairs
    assert not [pair for pair in pairs if {"float32", "bfloat16"} <= {s.split()[-1] for s in pair}]


def test_a_server_that_disagrees_is_not_timed(measure) -> None:
    rows = measure(lambda *_: running(off=0.01)).rows
    assert (rows[-1].state, rows[-1].rates) == ("disagrees", ())
    assert rows[-1].why == "scores differ by 0.01"


def test_a_server_that_is_not_there_or_does_not_start_is_listed(measure) -> None:
    assert measure(lambda *_: contextlib.nullcontext()).rows[-1].state == "not installed"

    def broken(*_):
        raise servers.ServerFailure("no such model")

    row = measure(broken).rows[-1]
    assert (row.state, row.why) == ("failed", "no such model")


def test_only_ours_is_measured_where_the_peer_is_not_wanted(measure) -> None:
    assert len(measure(lambda *_: running(), peers=PEERS[:1]).rows) == 4 * 2


def test_a_process_that_ends_is_no_server(tmp_path) -> None:
    with (
        pytest.raises(servers.ServerFailure, match="cannot open"),
        servers._running(
            ["sh", "-c", "echo cannot open >&2; exit 1"], tmp_path / "log", "/", RaceOptions()
        ),
    ):
        pass
