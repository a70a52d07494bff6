"""How much memory a piece of code takes for good, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

_RESIDENT = """
import ctypes

def resident():
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    with open("/proc/self/statm") as status:
        return int(status.read().split()[1]) * 4096 / 2**20
"""


def printed_by(code: str, *arguments: str) -> float:
    """Return the number that code prints; it has `resident()`, MiB in use and not free.

    Bounds on what libraries keep are set once a process and may have been in this one, so the code
    is run without them.
    """
    environment = {name: value for name, value in os.environ.items() if "CAPACITY" not in name}
    done = subprocess.run(
        [sys.executable, "-c", _RESIDENT + code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)
