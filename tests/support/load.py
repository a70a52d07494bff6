"""Closed-loop load: so many clients, each with one request at a time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from support.live import V3, Live


@dataclass
class Load:
    """What came of a load: statuses, tokens told in answers, seconds of the good ones."""

    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    seconds: list[float] = field(default_factory=list)
    retry_after: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, answer: httpx.Response, seconds: float) -> None:
        with self.lock:
            self.statuses[str(answer.status_code)] += 1
            if answer.status_code == 200:
                self.tokens += answer.json()["meta"]["usage"]["total_tokens"]
                self.seconds.append(seconds)
                return
            self.codes[answer.json()["error"]["code"]] += 1
            if "retry-after" in answer.headers:
                self.retry_after.append(int(answer.headers["retry-after"]))

    def p(self, share: float) -> float:
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


class Clients:
    """Clients that send until told to stop; a context manager."""

    def __init__(
        self, server: Live, count: int, payload: Callable[[], Any], *, key: str = "k"
    ) -> None:
        self.load = Load()
        self._server, self._payload, self._key = server, payload, key
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def _run(self) -> None:
        with self._server.client(self._key) as client:
            while not self._stop.is_set():
                start = time.perf_counter()
                try:
                    answer = client.post(V3, json=self._payload())
                except httpx.HTTPError as error:
                    with self.load.lock:
                        self.load.statuses[type(error).__name__] += 1
                    time.sleep(0.05)
                    continue
                self.load.note(answer, time.perf_counter() - start)
                if answer.status_code != 200:
                    time.sleep(0.01)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self.load

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
