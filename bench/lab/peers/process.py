"""A worker in a process of its own, and the pipe to it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

WORKER = Path(__file__).with_name("worker.py")
TIMEOUT = 1800.0
"""Seconds that an answer may take: an export of a large model on a busy machine takes minutes."""


class PeerFailure(RuntimeError):
    """A peer could not do what it was asked; says why in the peer's own words."""


class PeerSession(Protocol):
    """One loaded side of a race."""

    def ask(self, op: str, **parts: Any) -> dict[str, Any]:
        """Send a request and return the answer; see `worker`.

        Raises:
            PeerFailure: the answer is an error, or there is none.
        """

    def close(self) -> None:
        """End it."""


class PeerProcess:
    """A session with `worker.py`; a context manager.

    Args:
        python: the interpreter of the peer's environment.
        adapter: the adapter's file.
        threads: CPU threads for every library that reads the environment.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, python: Path, adapter: Path, threads: int, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close
        self._process = subprocess.Popen(
            [python, "-P", WORKER, adapter],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(threads),
            text=True,
            encoding="utf-8",
        )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ask(self, op: str, **parts: Any) -> dict[str, Any]:
        """Send a request and return the answer; see `PeerSession`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"op": op, **parts}) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=self._timeout)
        except queue.Empty:
            self._process.kill()
            raise PeerFailure(f"no answer to {op} within {self._timeout:.0f} seconds") from None
        except OSError:
            line = ""
        if not line:
            self._answers.put("")  # there is no answer to later requests either
            raise PeerFailure(f"ended during {op}: {self._last_line()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailure(answer["error"])
        return answer

    def close(self) -> None:
        """Ask the process to stop, then kill it."""
        with contextlib.suppress(PeerFailure):
            self._timeout = min(self._timeout, 30.0)
            self.ask("stop")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(10)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _last_line(self) -> str:
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else "it wrote nothing"


def environment(threads: int) -> dict[str, str]:
    """Return this process's environment, with threads bound and the network left alone."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    kept = {k: v for k, v in kept.items() if not k.startswith("RERANKER_")}
    bound = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), str(threads))
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "true",
        "DO_NOT_TRACK": "1",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
        "PYTHONUNBUFFERED": "1",
    }
    return {**kept, **bound, **quiet}
