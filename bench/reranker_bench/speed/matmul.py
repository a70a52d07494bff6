"""The machine's peak in float32 matmuls: what a change of the machine's own speed is seen by."""

from __future__ import annotations

import time

_SIZE = 1024
_SECONDS = 0.2


def gflops() -> float:
    """Return 10^9 floating-point operations a second of square matmuls on torch's threads."""
    import torch

    matrix = torch.ones(_SIZE, _SIZE)
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < _SECONDS or not count:
        matrix @ matrix
        count += 1
    return count * 2 * _SIZE**3 / elapsed / 1e9
