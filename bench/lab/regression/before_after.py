"""Compare the speed of two checkouts, by turns.

    python -m lab.regression.before_after /tmp/base . --workloads w1,w3,w5 --repeats 5

Each checkout is run by a worker process, started in it with its own `.venv/bin/python`, and for
w5 by its own `reranker serve`; this script takes the turns and sends the requests. The engine runs
on the CPU with the torch backend, autotuning off.

* w1: `standard` over a real pool of documents, another pool and query each time, no cache.
* w3: the bi-encoder's vectors of such a pool, no cache.
* w5: requests to the HTTP server by 1 and 8 closed-loop clients, a new query in each: `fast` over
  10 short documents in a warm cache, and `standard` over 5.

Printed is the speed of the second checkout over that of the first, so above 1 is faster: the median
of the repeats, and the quartiles. Which one goes first changes with each repeat.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lab.regression.engine_settings import engine_values, say, to_toml
from lab.regression.pools import DATA, Pool, read_pools, sample_folder
from lab.regression.server_client import environment, requests_a_second, serving

CLIENTS = (1, 8)
W5 = {"fast": 10, "standard": 5}  # documents a request
SHORT = 300  # characters of a document in w5
CACHE_MB = 256
REST_SECONDS = 0.1  # threads of the tensor library spin for a while after their last work

Turn = Callable[[int], float]
"""Runs a workload, given the number of the repeat; returns items a second."""


def work(options: argparse.Namespace) -> int:
    """Be a worker: load the engine, then answer commands until standard input ends."""
    import reranker

    uncached, cached = (engine_values(options.dtype, options.threads, mb) for mb in (0, CACHE_MB))
    found = pools(options)
    with reranker.Reranker(reranker.Settings(**uncached)) as engine:
        models = {"model": engine.settings.model, "model_cross": engine.settings.model_cross}
        say(json.dumps({"package": reranker.__file__, "toml": to_toml(cached), "models": models}))
        for line in sys.stdin:
            workload, number = json.loads(line)
            pool = found[number % len(found)]
            start = time.perf_counter()
            if workload == "w1":
                engine.rank(f"{pool.query} {number}", pool.documents, method="standard")
            else:
                engine.embed(pool.documents)
            say(json.dumps(len(pool.documents) / (time.perf_counter() - start)))
    return 0


def pools(options: argparse.Namespace) -> list[Pool]:
    """Return the pools of w1 and w3; those of the sample where there are no others."""
    folder = options.data / "cranfield"
    return read_pools(folder if folder.is_dir() else sample_folder(), 64, options.documents)


class Side:
    """One checkout and its worker.

    Args:
        checkout: its folder.
        options: of the command line.
    """

    def __init__(self, checkout: Path, options: argparse.Namespace) -> None:
        self.checkout = checkout.resolve()
        python = str(self.checkout / ".venv/bin/python")
        command = [python, "-m", "lab.regression.before_after", "--worker"]
        for name in ("dtype", "threads", "documents", "data"):
            command += [f"--{name}", str(getattr(options, name))]
        self._worker = subprocess.Popen(
            command,
            cwd=self.checkout,
            env={**environment(), "PYTHONPATH": str(Path(__file__).parents[2])},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.facts = self._read()
        if not Path(self.facts["package"]).is_relative_to(self.checkout):
            raise SystemExit(f"{self.checkout}: its python imports {self.facts['package']}")

    def run(self, workload: str, number: int) -> float:
        """Run w1 or w3 once and return documents a second."""
        assert self._worker.stdin is not None
        self._worker.stdin.write(json.dumps([workload, number]) + "\n")
        self._worker.stdin.flush()
        return float(self._read())

    def _read(self) -> Any:
        assert self._worker.stdout is not None
        line = self._worker.stdout.readline()
        if not line:
            raise SystemExit(f"{self.checkout}: the worker has ended")
        return json.loads(line)

    def close(self) -> None:
        """End the worker."""
        self._worker.communicate()


def turns(sides: list[Side], options: argparse.Namespace) -> Iterator[tuple[str, list[Turn]]]:
    """Yield each workload's name and how each side runs it once."""
    wanted = options.workloads.split(",")
    for name in ("w1", "w3"):
        if name in wanted:
            yield name, [partial(side.run, name) for side in sides]
    if "w5" not in wanted:
        return
    texts = [text[:SHORT] for text in pools(options)[0].documents]
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(serving(side.checkout, side.facts["toml"])) for side in sides]
        for method, count in W5.items():
            body = {**sides[0].facts["models"], "method": method, "documents": texts[:count]}
            for clients in CLIENTS:
                load = partial(requests_a_second, clients, options.seconds, body)
                yield f"w5 {method}, clients: {clients}", [partial(load, port) for port in ports]


def race(both: list[Turn], repeats: int) -> dict[str, Any]:
    """Run both by turns; return speeds, ratios, and of these the median and the quartiles."""
    speeds: list[list[float]] = [[], []]
    for number in range(-1, repeats):  # the first is for warming up
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            time.sleep(REST_SECONDS)
            speed = both[which](number % 1000)
            if number >= 0:
                speeds[which].append(speed)
    ratios = [after / before for before, after in zip(*speeds, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {
        "before": speeds[0],
        "after": speeds[1],
        "ratios": ratios,
        "median": median,
        "quartiles": [low, high],
    }


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkouts", type=Path, nargs="*", help="the folder before, that after")
    parser.add_argument("--workloads", default="w1,w3,w5", help="some of w1,w3,w5 (all)")
    parser.add_argument("--repeats", type=int, default=5, help="of each (5), at least 2")
    parser.add_argument("--seconds", type=float, default=2, help="of one repeat of w5 (2)")
    parser.add_argument("--documents", type=int, default=100, help="of a pool in w1 and w3 (100)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--threads", type=int, default=2, help="of the CPU (2)")
    parser.add_argument("--data", type=Path, default=DATA, help=f"BEIR collections ({DATA})")
    parser.add_argument("--output", type=Path, help="JSON file for all numbers")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.data = options.data.resolve()  # a worker has another working folder
    if options.worker:
        return work(options)
    if len(options.checkouts) != 2 or options.repeats < 2:
        parser.error("two checkouts, and at least two repeats")
    sides = [Side(checkout, options) for checkout in options.checkouts]
    found: dict[str, Any] = {}
    say(f"{'workload':24} {'before':>9} {'after':>9}  after/before [quartiles]")
    for name, both in turns(sides, options):
        found[name] = each = race(both, options.repeats)
        middle = [statistics.median(each[side]) for side in ("before", "after")]
        low, high = each["quartiles"]
        ratio = f"{each['median']:.3f} [{low:.3f}, {high:.3f}]"
        say(f"{name:24} {middle[0]:9.1f} {middle[1]:9.1f}  {ratio}")
    for side in sides:
        side.close()
    if options.output:
        named = {name: str(getattr(options, name)) for name in ("dtype", "threads", "documents")}
        folders = [str(side.checkout) for side in sides]
        whole = {"checkouts": folders, "options": named, "workloads": found}
        options.output.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
