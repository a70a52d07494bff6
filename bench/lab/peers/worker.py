"""The worker: runs one adapter in an environment of its own, over JSON lines.

Started as ``python -P worker.py <adapter file>``. It reads one request a line from standard
input and writes one answer a line; an answer has ``"ok": true`` or ``"error"``. It uses the
standard library and numpy alone, because nothing else is the same in every environment.

| request | answer |
|---|---|
| ``{"op": "load", "role", "folder", "dtype", "device", "threads", "max_tokens", "options"}`` | ``versions``, ``settings`` |
| ``{"op": "texts", "pools": [[query, [document, ...]], ...]}`` | |
| ``{"op": "run", "arguments"}`` | ``seconds``, ``each``, ``scores``, ``peak_mb`` |
| ``{"op": "stop"}`` | |

The clock is the worker's own, around the calls into the library and nothing else. ``each`` is
the seconds of each pool; ``scores`` are probabilities of pairs, or cosines, pool by pool.
"""  # noqa: E501  # a table

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

COMMON = ("torch", "transformers", "numpy")
Message = dict[str, Any]


class PeerWorker:
    """Answers requests with one adapter.

    Args:
        adapter: a module with `PACKAGES` and `load(request)`, which returns a callable with a
            dict `settings`. It maps query and documents to probabilities (role
            "cross-encoder") or scores ("ranking"), or texts to (n, d) vectors ("bi-encoder").
    """

    def __init__(self, adapter: ModuleType) -> None:
        self._adapter = adapter
        self._model: Callable[..., Any] | None = None
        self._role = ""
        self._pools: list[tuple[str, list[str]]] = []

    def answer(self, message: Message) -> Message:
        """Return the answer to a request; whatever goes wrong is an answer too."""
        try:
            return {"ok": True, **getattr(self, f"_{message['op']}")(message)}
        except Exception as error:  # whatever a library may raise
            return {"error": f"{type(error).__name__}: {error}"}

    def _load(self, message: Message) -> Message:
        self._model, self._role = self._adapter.load(message), message["role"]
        return {
            "versions": versions((*self._adapter.PACKAGES, *COMMON)),
            "settings": getattr(self._model, "settings", {}),
        }

    def _texts(self, message: Message) -> Message:
        self._pools = [(query, documents) for query, documents in message["pools"]]
        return {}

    def _run(self, message: Message) -> Message:
        if self._model is None:
            raise RuntimeError("nothing is loaded")
        arguments = message.get("arguments", {})
        reset_peak()
        outputs, each = [], []
        for query, documents in self._pools:
            texts = (documents,) if self._role == "bi-encoder" else (query, documents)
            start = time.perf_counter()
            outputs.append(self._model(*texts, **arguments))
            each.append(time.perf_counter() - start)
        peak = peak_mb()
        if self._role == "bi-encoder":
            outputs = [self._cosines(*pair) for pair in zip(outputs, self._pools, strict=True)]
        scores = [[float(score) for score in scores] for scores in outputs]
        return {"seconds": sum(each), "each": each, "scores": scores, "peak_mb": peak}

    def _stop(self, _: Message) -> Message:
        close = getattr(self._model, "close", None)
        if close is not None:
            close()
        return {}

    def _cosines(self, vectors: Any, pool: tuple[str, list[str]]) -> Iterable[float]:
        """Return the documents' cosines with the query, which is encoded off the clock."""
        import numpy as np

        assert self._model is not None
        rows = np.asarray(vectors, dtype=np.float32)
        query = np.asarray(self._model([pool[0]]), dtype=np.float32)[0]
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
        return [float(cosine) for cosine in rows @ query / lengths]


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of Python and of each package that is installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def reset_peak() -> None:
    """Let the peak of memory count from now on, where the system can."""
    with contextlib.suppress(OSError):  # then the peak is that of the whole life
        Path("/proc/self/clear_refs").write_text("5")


def peak_mb(process: int | str = "self") -> float | None:
    """Return a process's peak of resident memory in MiB; None where it cannot be known."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    kib = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM")]
    return int(kib[0]) / 1024 if kib else None


def adapter_at(path: Path) -> ModuleType:
    """Import an adapter by its file, so that its folder need not be on the path.

    There its name could hide a library's.
    """
    spec = importlib.util.spec_from_file_location(f"reranker_peer_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Answer requests until standard input ends. What libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = PeerWorker(adapter_at(Path(sys.argv[1])))
    for line in sys.stdin:
        message = json.loads(line)
        answers.write(json.dumps(worker.answer(message)) + "\n")
        answers.flush()
        if message["op"] == "stop":
            return


if __name__ == "__main__":
    main()
