"""Clients against a server of a few lines."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reranker_bench.speed import closed_loop
from reranker_bench.speed.closed_loop import STAMP, request


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status = 200
    bodies: list[dict]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)  # type: ignore[attr-defined]
        content = json.dumps({"said": body}).encode()
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.bodies, server.status = [], 200
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


SENT = request("/any", {"query": f"q {STAMP.decode()}"})


def test_every_answer_is_counted_once(server) -> None:
    load = closed_loop.load(server.server_port, [SENT], clients=3, seconds=0.3, seed=0)
    assert len(load.seconds) == len(server.bodies) > 3
    assert not load.errors
    assert load.elapsed >= 0.3
    assert load.rate == pytest.approx(len(load.seconds) / load.elapsed)


def test_no_query_comes_twice(server) -> None:
    for clients in (2, 3):  # one level after the other, as a run takes them
        closed_loop.load(server.server_port, [SENT], clients, seconds=0.2, seed=0)
    queries = [body["query"] for body in server.bodies]
    assert all(query.startswith("q ") and "@" not in query for query in queries)
    assert len(set(queries)) == len(queries)


def test_a_refusal_is_an_error_and_no_answer(server) -> None:
    server.status = 429
    load = closed_loop.load(server.server_port, [SENT], clients=1, seconds=0.1, seed=0)
    assert not load.seconds
    assert set(load.errors) == {"429"}


def test_a_server_that_is_gone_is_an_error() -> None:
    load = closed_loop.load(1, [SENT], clients=2, seconds=0.1, seed=0)
    assert not load.seconds
    assert load.errors["ConnectionRefusedError"] >= 2


def test_one_answer_is_parsed(server) -> None:
    assert closed_loop.ask(server.server_port, SENT)["said"]["query"].startswith("q ")
