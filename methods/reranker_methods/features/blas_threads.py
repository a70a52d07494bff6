"""One thread for many small matrix problems.

A passage's Gram matrix takes a tenth of a millisecond. Sharing it with a second BLAS thread
costs more than that, and a hundred times as much while that thread's core is busy with a model.
PyTorch, which runs the models, has threads of its own that are not affected.
"""

from __future__ import annotations

from functools import cache

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@cache
def keep_blas_on_one_thread() -> None:
    """Set numpy's and scipy's BLAS to one thread, for this process, from now on.

    The setting is process-wide, and OpenBLAS does not let a worker thread raise it
    again, so it cannot be set for a while only.
    """
    import scipy.linalg  # noqa: F401  (loads its BLAS, so that the controller sees it)

    ThreadpoolController().limit(limits=1, user_api="blas")
