"""Clients against a server of a few lines."""

from __future__ import annotations

import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from reranker.errors import InvalidRequest, RerankerError
from reranker_bench.speed import http_client
from reranker_bench.speed.closed_loop import STAMP, Load, run_load
from reranker_bench.speed.http_client import Address, HttpClient


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


def at(port: int) -> Address:
    return Address("127.0.0.1", port)


SENT = at(0).encode("/any", {"query": f"q {STAMP}"})


def run(port: int, clients: int, seconds: float) -> Load:
    return run_load(partial(HttpClient, at(port)), [SENT], clients, seconds, seed=0)


def test_every_answer_is_counted_once(server) -> None:
    found = run(server.server_port, clients=3, seconds=0.3)
    assert len(found.seconds) == len(server.bodies) > 3
    assert not found.errors
    assert found.elapsed >= 0.3
    assert found.rate == pytest.approx(len(found.seconds) / found.elapsed)


def test_no_query_comes_twice(server) -> None:
    for clients in (2, 3):  # one level after the other, as a run takes them
        run(server.server_port, clients, seconds=0.2)
    queries = [body["query"] for body in server.bodies]
    assert all(query.startswith("q ") and "@" not in query for query in queries)
    assert len(set(queries)) == len(queries)


def test_a_refusal_is_an_error_and_no_answer(server) -> None:
    server.status = 429
    found = run(server.server_port, clients=1, seconds=0.1)
    assert not found.seconds
    assert set(found.errors) == {"429"}


def test_a_server_that_is_gone_is_an_error() -> None:
    found = run(1, clients=2, seconds=0.1)
    assert not found.seconds
    assert found.errors["ConnectionRefusedError"] >= 2


def test_one_answer_is_parsed(server) -> None:
    assert http_client.ask(at(server.server_port), SENT)["said"]["query"].startswith("q ")


def test_a_first_request_that_fails_is_an_error_with_the_reason(server) -> None:
    server.status = 429
    with pytest.raises(RerankerError, match="status 429"):
        http_client.ask(at(server.server_port), SENT)
    with pytest.raises(RerankerError, match="gives no response"):
        http_client.ask(at(1), SENT)


@pytest.mark.parametrize("url", ["here", "ftp://here", "http://", "http://here:port"])
def test_an_address_that_is_none_is_refused(url) -> None:
    with pytest.raises(InvalidRequest, match="write an address like"):
        Address.of(url)


def test_an_address_has_a_prefix_and_a_key() -> None:
    address = Address.of("https://here/prefix/", "secret")
    assert address == Address("here", 443, True, "/prefix", {"Authorization": "Bearer secret"})
    assert address.encode("/any", {}).startswith(b"POST /prefix/any HTTP/1.1\r\nHost: here:443\r\n")
