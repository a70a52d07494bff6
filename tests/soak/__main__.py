"""Run the load, inject the faults, say what came of it, and write it down.

python -m soak --seconds 600 --output server/results/soak.json
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from support.live import TESTS, free_port, wait_until
from support.redis_server import RedisServer

from soak import clients

LIMITS = {
    "v3": "budget = 10000000000",
    "dialects": "",
    "gone": "budget = 10000000000",
    "best-only": 'methods = ["best"]',
    "slow": 'rate = "30/minute"',
}
SETTLE_SECONDS = 90.0  # before memory is first read: models and caches are warm then
MOST_GROWTH = 0.05  # of memory, from then to the end
LEFT_OVER = ("working_requests", "queued_requests", "queued_tokens", "buffered_bytes")


def main() -> int:
    options = _options()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = _redis(folder)
        if redis is not None:
            stack.callback(redis.stop)
        port, process = stack.enter_context(_server(folder, redis))
        report = _run(port, process, redis, options)
        process.send_signal(signal.SIGTERM)
        report["exit_status_after_sigterm"] = process.wait(60)
        log = (folder / "server.log").read_text()
        report["log_lines"] = len(log.splitlines())
        if report["unexplained"] or not report["passed"]:
            sys.stderr.write(log[-5000:])
    text = json.dumps(report, indent=1)
    sys.stdout.write(text + "\n")
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text + "\n")
    return 0 if report["passed"] else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long, at most an hour")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="file for the result, as JSON")
    options = parser.parse_args()
    options.seconds = min(options.seconds, 3600)
    return options


def _redis(folder: Path) -> RedisServer | None:
    if shutil.which("redis-server") is None:
        return None
    server = RedisServer(folder)
    server.start()
    return server


@contextlib.contextmanager
def _server(
    folder: Path, redis: RedisServer | None
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    keys = "".join(
        f'[{name}]\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\n{limits}\n'
        for name, limits in LIMITS.items()
    )
    (folder / "keys.toml").write_text(keys)
    settings: dict[str, Any] = {
        "port": free_port(),
        "keys_file": str(folder / "keys.toml"),
        "redis_url": redis.url if redis else None,
        "max_documents": 1000,
        "max_concurrent": 4,
        "max_queue": 8,
        "body_timeout_ms": 3000,
        "header_timeout_ms": 3000,
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "soak.server", json.dumps(settings)],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stderr=log,
        )
    try:
        base = f"http://127.0.0.1:{settings['port']}"
        wait_until(lambda: _is_ready(base), 120)
        yield settings["port"], process
    finally:
        process.kill()
        process.wait(10)


def _is_ready(base: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{base}/readyz").status_code == 200
    return False


def _run(
    port: int,
    process: subprocess.Popen[bytes],
    redis: RedisServer | None,
    options: argparse.Namespace,
) -> dict[str, Any]:
    base, stop, book = f"http://127.0.0.1:{port}", threading.Event(), clients.Book()
    tasks: list[tuple[Any, ...]] = [
        (clients.send, base, book, options.seed + i, stop) for i in range(options.clients)
    ]
    tasks += [(clients.hang_up, port, book, stop), (clients.dawdle, port, book, stop)]
    tasks.append((clients.burst, base, book, stop))
    threads = [threading.Thread(target=task, args=rest) for task, *rest in tasks]
    for thread in threads:
        thread.start()
    start = time.monotonic()
    memory: list[tuple[float, float]] = []
    try:
        while (now := time.monotonic() - start) < options.seconds:
            if now > min(SETTLE_SECONDS, options.seconds / 3):
                memory.append((now, _metrics(base)["process_resident_memory_bytes"]))
            _inject(len(memory), process, redis, book)
            time.sleep(5)
    finally:
        stop.set()
        for thread in threads:
            thread.join(90)
    time.sleep(clients.FAULT_SECONDS)
    return _report(base, redis, book, memory, time.monotonic() - start)


def _inject(
    turn: int, process: subprocess.Popen[bytes], redis: RedisServer | None, book: clients.Book
) -> None:
    """Inject one fault every other turn, each kind in its turn."""
    if turn % 6 == 1:
        book.inject("model", "batches that raise")
        process.send_signal(signal.SIGUSR1)
    elif turn % 6 == 3:
        book.inject("model", "worker killed")
        process.send_signal(signal.SIGUSR2)
    elif turn % 6 == 5 and redis is not None:
        book.inject("store", "Redis stopped and started")
        redis.stop()
        time.sleep(1)
        redis.start()
        book.inject("store", "Redis back")


def _report(
    base: str,
    redis: RedisServer | None,
    book: clients.Book,
    memory: list[tuple[float, float]],
    seconds: float,
) -> dict[str, Any]:
    found = _metrics(base)
    charged = _charged(redis, "v3")
    sizes = [size for _, size in memory]
    left = {name: found[f"reranker_{name}"] for name in LEFT_OVER}
    report: dict[str, Any] = {
        "passed": False,
        "seconds": round(seconds, 1),
        "machine": {"cores": os.cpu_count(), "load": [round(x, 1) for x in os.getloadavg()]},
        "requests": sum(book.statuses.values()),
        "statuses": dict(sorted(book.statuses.items())),
        "explained": dict(sorted(book.explained.items())),
        "unexplained": book.unexplained,
        "faults": dict(book.faults),
        "latency_ms": {kind: _percentiles(values) for kind, values in sorted(book.seconds.items())},
        "memory_mb": _memory(sizes),
        "tokens": {"told": book.tokens, "charged": charged},
        "left_over": left,
        "ready": _is_ready(base),
    }
    report["passed"] = (
        not book.unexplained
        and report["memory_mb"]["growth_first_to_last_third"] <= MOST_GROWTH
        and charged in (book.tokens, None)
        and not any(left.values())
        and report["ready"]
    )
    return report


def _memory(sizes: list[float]) -> dict[str, Any]:
    """Say how memory went; growth is that of the mean, as a batch or two come and go."""
    third = max(1, len(sizes) // 3)
    first, last = (sum(part) / len(part) for part in (sizes[:third], sizes[-third:]))
    return {
        "start": round(sizes[0] / 1e6),
        "end": round(sizes[-1] / 1e6),
        "most": round(max(sizes) / 1e6),
        "every_tenth": [round(size / 1e6) for size in sizes[:: max(1, len(sizes) // 10)]],
        "growth_first_to_last_third": round(last / first - 1, 4),
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    shown = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    at = {name: ordered[min(len(ordered) - 1, int(q * len(ordered)))] for name, q in shown.items()}
    return {"count": len(ordered), **{name: round(1e3 * value, 1) for name, value in at.items()}}


def _metrics(base: str) -> dict[str, float]:
    text = httpx.get(f"{base}/metrics", timeout=30).text
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def _charged(redis: RedisServer | None, name: str) -> int | None:
    if redis is None:
        return None
    from reranker_server.access.budgets_redis import RedisBudgets

    budgets = RedisBudgets(redis.url)
    try:
        return budgets.spent(name, "life")
    finally:
        budgets.close()


if __name__ == "__main__":
    sys.exit(main())
