"""The clients: most send and count, some hang up, dawdle or come all at once."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from soak.traffic import V3, Sent, Traffic

BURST, BURST_SECONDS = 24, 20.0
FAULT_SECONDS = 4.0  # how long after a fault its traces may be seen
FAULT_STATUSES = {"model": {500, 424}, "store": {503}}


@dataclass
class Book:
    """What came of it all."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    tokens: int = 0  # told to the key "v3"
    last: dict[str, float] = field(default_factory=dict)  # when a kind of fault was seen last
    lock: threading.Lock = field(default_factory=threading.Lock)

    def inject(self, kind: str, name: str) -> None:
        with self.lock:
            self.faults[name] += 1
            self.last[kind] = time.monotonic()

    def note(self, sent: Sent, answer: httpx.Response, start: float) -> None:
        now = time.monotonic()
        with self.lock:
            status = answer.status_code
            self.statuses[str(status)] += 1
            if status == 200:
                self.seconds.setdefault(sent.kind, []).append(now - start)
                if sent.key == "v3":
                    self.tokens += answer.json()["meta"]["usage"]["total_tokens"]
            if status in sent.expected:
                if status != 200:
                    self.explained[f"{status} {sent.kind}" if status != 429 else "429"] += 1
                return
            for kind, statuses in FAULT_STATUSES.items():
                if status in statuses and start < self.last.get(kind, -1e9) + FAULT_SECONDS:
                    self.explained[f"{status} after a fault of the {kind}"] += 1
                    return
            self.unexplained.append(f"{sent.kind}: {status} {answer.text[:300]}")

    def broken(self, sent: Sent, error: Exception) -> None:
        with self.lock:
            self.unexplained.append(f"{sent.kind}: {type(error).__name__} {error}")


def send(base: str, book: Book, seed: int, stop: threading.Event) -> None:
    """Send one request after the other."""
    traffic = Traffic(seed)
    with httpx.Client(base_url=base, timeout=60) as client:
        while not stop.is_set():
            _send_one(client, book, traffic.next())


def burst(base: str, book: Book, stop: threading.Event) -> None:
    """Now and then send far more at once than there is room for."""
    traffic = Traffic(-1)
    with httpx.Client(base_url=base, timeout=60) as client, ThreadPoolExecutor(BURST) as pool:
        while not stop.wait(BURST_SECONDS):
            requests = [traffic.v3() for _ in range(BURST)]
            for each in [pool.submit(_send_one, client, book, sent) for sent in requests]:
                each.result()
            book.inject("client", f"burst of {BURST}")


def _send_one(client: httpx.Client, book: Book, sent: Sent) -> None:
    """Send a request and note what came of it."""
    raw = sent.body if isinstance(sent.body, bytes) else json.dumps(sent.body).encode()
    start = time.monotonic()
    try:
        answer = client.post(
            sent.path, content=raw, headers={"Authorization": f"Bearer {sent.key}"}
        )
    except httpx.HTTPError as error:
        book.broken(sent, error)
        return
    book.note(sent, answer, start)


def hang_up(port: int, book: Book, stop: threading.Event) -> None:
    """Send whole and half requests, and go."""
    traffic = Traffic(0)
    while not stop.wait(2):
        body = {**traffic.v3().body, "documents": [traffic.text() for _ in range(30)]}
        raw = json.dumps(body).encode()
        head = f"POST {V3} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer gone\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            whole = f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw
            connection.sendall(whole if book.faults["hung up"] % 2 else whole[: len(whole) // 2])
            stop.wait(0.1)
        book.inject("client", "hung up")


def dawdle(port: int, book: Book, stop: threading.Event) -> None:
    """Send a body a byte a second, and keep idle connections beside it."""
    while not stop.is_set():
        idle = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(50)]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            head = f"POST {V3} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer gone\r\n"
            connection.sendall(f"{head}content-length: 100\r\n\r\n".encode())
            connection.settimeout(0.5)
            answer = b""
            while not answer and not stop.is_set():
                try:
                    connection.sendall(b" ")
                    answer = connection.recv(100)
                except TimeoutError:
                    continue
                except OSError:
                    break
        for each in idle:
            each.close()
        if answer:
            book.inject("client", f"dawdled, {answer[9:12].decode()}")
