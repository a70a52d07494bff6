"""The server under load: the real engine and models, whose next batch fails when told so.

SIGUSR1 makes the next three runs of a model raise, SIGUSR2 ends the next worker's thread.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from reranker import Reranker, Settings
from reranker.families.bi_encoder.model import BiEncoderModel
from reranker.families.cross_encoder.model import CrossEncoderModel
from reranker.process_tuning import tune_process
from reranker_server.run import run_server
from reranker_server.settings import ServerSettings

FAILING_RUNS = 3
faults: deque[type[BaseException]] = deque()


def faulty(real: Callable[..., Any]) -> Callable[..., Any]:
    """Raise the next fault, if there is one, in the place of a batch."""

    def step(*arguments: Any) -> Any:
        if faults:
            raise faults.popleft()
        return real(*arguments)

    return step


def main() -> None:
    logging.basicConfig(level="WARNING", stream=sys.stderr)
    tune_process()  # as `run` does, but before the models are loaded
    # A small cache is soon full, so that it does not look like a leak.
    reranker = Reranker(Settings(cache_mb=8, offline=True, backend="torch"), model_load_timeout=60)
    for kind in (BiEncoderModel, CrossEncoderModel):
        kind.forward = faulty(kind.forward)  # type: ignore[method-assign]
    reranker.warm()
    signal.signal(signal.SIGUSR1, lambda *_: faults.extend([RuntimeError] * FAILING_RUNS))
    signal.signal(signal.SIGUSR2, lambda *_: faults.append(SystemExit))
    run_server(reranker, ServerSettings(**json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
