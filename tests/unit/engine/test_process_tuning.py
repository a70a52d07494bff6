"""Tuning of a process: asked for, it happens; not asked for, it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

TRIM = """
import time
from pathlib import Path
from reranker.process_tuning import trim_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

with trim_memory(seconds=0.05):
    before = resident()
    pieces = [bytearray(100_000) for _ in range(1000)]
    pieces = pieces[::20]  # every kept one holds the ones around it in place
    end = time.monotonic() + 10
    while resident() - before > 40e6 and time.monotonic() < end:
        time.sleep(0.05)
    print(resident() - before < 40e6)
"""


def test_freed_memory_is_given_back():
    done = subprocess.run(
        [sys.executable, "-c", TRIM], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "True"


TUNE = """
import json, os, sys
import reranker
from reranker.process_tuning import tune_process

before = {name: os.environ.get(name) for name in sys.argv[1:]}
tune_process()
from threadpoolctl import threadpool_info
blas = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
after = {name: os.environ.get(name) for name in sys.argv[1:]}
print(json.dumps([before, after, blas]))
"""
SHAPE_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def test_the_process_is_tuned_when_asked_and_the_users_own_variables_stay():
    environment = {name: value for name, value in os.environ.items() if name not in SHAPE_CACHES}
    environment[SHAPE_CACHES[1]] = "7"
    done = subprocess.run(
        [sys.executable, "-c", TUNE, *SHAPE_CACHES],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment,
    )
    before, after, blas = json.loads(done.stdout)
    assert before == {SHAPE_CACHES[0]: None, SHAPE_CACHES[1]: "7"}
    assert after == {SHAPE_CACHES[0]: "64", SHAPE_CACHES[1]: "7"}
    assert blas
    assert set(blas) == {1}
