"""A peer without a model, in this process and in one of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.peers.process import PeerFailure
from lab.peers.worker import PeerWorker, adapter_at

FAKE = Path(__file__).with_name("fake_peer.py")
POOLS = [("a b", ["a b c", "b", "none"]), ("c", ["c", "d"])]


class InProcess:
    """A session with a worker on this thread, which writes down what it was asked."""

    def __init__(self, adapter: Path = FAKE, log: list[str] | None = None, name: str = "") -> None:
        self.worker = PeerWorker(adapter_at(adapter))
        self.asked: list[dict[str, Any]] = []
        self.log, self.name = log, name
        self.closed = False

    def ask(self, op: str, **parts: Any) -> dict[str, Any]:
        self.asked.append({"op": op, **parts})
        if op == "run" and self.log is not None:
            self.log.append(self.name)
        answer = self.worker.answer({"op": op, **parts})
        if "error" in answer:
            raise PeerFailure(answer["error"])
        return answer

    def close(self) -> None:
        self.closed = True
