"""Clients that hang up, dawdle, stay silent or send what is no HTTP."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time

import pytest
from support.live import V3, body, wait_until

AUTH = b"authorization: Bearer k\r\n"


def head(length: int, extra: bytes = b"") -> bytes:
    return (
        f"POST {V3} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n".encode()
        + AUTH
        + extra
        + b"\r\n"
    )


def spent(shared) -> tuple[int, int]:
    """Return the tokens settled, and the reservations that are held."""
    with contextlib.closing(sqlite3.connect(shared.log.parent / "keys.budgets.sqlite3")) as db:
        (settled,) = db.execute("SELECT coalesce(sum(tokens), 0) FROM spent").fetchone()
        (held,) = db.execute("SELECT count(*) FROM held").fetchone()
    return settled, held


def alive(shared) -> bool:
    with shared.client() as client:
        return client.post(V3, json=body("a")).status_code == 200


def test_work_for_a_client_that_hung_up_is_dropped_and_not_charged(shared):
    assert alive(shared)
    gone = shared.metric("reranker_requests_total", status="499")
    before = spent(shared)
    # Each document is a batch of its own, so the work can be dropped between them.
    payload = json.dumps(body(*(f"!slow 100 {i}" for i in range(100)), batch_size=1)).encode()
    with shared.connect() as connection:
        connection.sendall(head(len(payload)) + payload)
        wait_until(lambda: shared.metric("reranker_working_requests") == 1)
    start = time.monotonic()
    wait_until(lambda: shared.metric("reranker_working_requests") == 0)
    assert time.monotonic() - start < 5  # all of it would take ten
    wait_until(lambda: spent(shared)[1] == 0)
    assert spent(shared) == before
    assert shared.metric("reranker_requests_total", status="499") == gone + 1
    assert shared.metric("reranker_buffered_bytes") == 0


def test_a_client_that_hangs_up_within_its_body_leaves_nothing_behind(shared):
    before = shared.metric("reranker_requests_total", status="500")
    for _ in range(5):
        with shared.connect() as connection:
            connection.sendall(head(1000) + b'{"model"')
    wait_until(lambda: shared.metric("reranker_buffered_bytes") == 0)
    assert shared.metric("reranker_requests_total", status="500") == before
    assert alive(shared)


def test_a_body_that_trickles_in_is_408(shared):
    with shared.connect() as connection:
        connection.sendall(head(1000))
        start = time.monotonic()
        with contextlib.suppress(OSError):
            for _ in range(30):
                connection.sendall(b" ")
                time.sleep(0.05)
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer.lower()
    assert time.monotonic() - start < 5


def test_a_compressed_body_is_refused_before_it_arrives(shared):
    with shared.connect() as connection:
        connection.sendall(head(1000, b"content-encoding: gzip\r\n"))
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"connection: close" in answer.lower()


def test_an_answer_that_nobody_reads_is_let_go(shared):
    documents = ["a" + " " * 2**20] * 8  # echoed, so the answer is as large
    payload = json.dumps(body(*documents)).encode()
    before = shared.log.read_text().count("was not read")
    readers = [shared.connect() for _ in range(8)]
    for connection in readers:
        connection.sendall(head(len(payload)) + payload)
    wait_until(lambda: shared.log.read_text().count("was not read") == before + 8)
    for connection in readers:
        with pytest.raises(OSError, match=r"reset|ended"):
            drain(connection)
        connection.close()
    assert alive(shared)


def drain(connection) -> None:
    """Read to the end, which must come before the announced length."""
    read, announced = b"", 2**30
    while len(read) < announced:
        part = connection.recv(2**20)
        if not part:
            raise OSError("ended early")
        read += part
        if b"\r\n\r\n" in read[:2000] and announced == 2**30:
            start = read.index(b"\r\n\r\n") + 4
            announced = start + int(read.lower().split(b"content-length: ")[1].split()[0])


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"])
def test_a_head_that_trickles_in_ends_the_connection(shared, first):
    with shared.connect() as connection:
        if first:
            connection.sendall(first)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /")
        start = time.monotonic()
        while not _closed(connection):
            assert time.monotonic() - start < 6
            with contextlib.suppress(OSError):
                connection.sendall(b"a")
            time.sleep(0.1)
        assert time.monotonic() - start > 1


def test_a_head_without_end_is_refused(shared):
    before = shared.metric("process_resident_memory_bytes")
    with shared.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            for i in range(2000):
                connection.sendall(b"x-%d: " % i + b"a" * 1000 + b"\r\n")
        with contextlib.suppress(OSError):
            answer = connection.recv(100)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert shared.metric("process_resident_memory_bytes") - before < 20e6
    assert alive(shared)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_changes_nothing(shared, raw):
    with shared.connect() as connection:
        with contextlib.suppress(OSError):
            connection.sendall(raw)
        connection.settimeout(5)
        with contextlib.suppress(OSError):
            answer = connection.recv(4096)
            assert answer == b"" or b" 4" in answer[:13]
            assert b"Traceback" not in answer
    assert alive(shared)


def test_a_thousand_idle_connections_do_not_keep_others_out(shared):
    idle = [shared.connect() for _ in range(1000)]
    try:
        start = time.monotonic()
        for _ in range(10):
            assert alive(shared)
        assert time.monotonic() - start < 10
        assert shared.process.poll() is None
        # They are let go when they have sent no head in time.
        wait_until(lambda: all(_closed(connection) for connection in idle), 15)
    finally:
        for connection in idle:
            connection.close()
    assert alive(shared)


def _closed(connection) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
