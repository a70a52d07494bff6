"""Stop-watches in a model: around calls to its runner, its network and its pooling.

They stand in the place of attributes of the engine's own objects for a while, so that the
engine need not carry them. Meanwhile a model runs one batch at a time, since the seconds of two
that run at once do not add up to a request's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any


class Probe:
    """Counts seconds while entered.

    Args:
        models: loaded bi- and cross-encoders; one without a runner is left alone.
    """

    def __init__(self, models: Sequence[Any]) -> None:
        self._models = [model for model in models if hasattr(model, "runner")]
        self._undo: list[tuple[Any, str, Any]] = []
        self._hooks: list[Any] = []
        self._began = 0.0
        self.reset()

    def reset(self) -> None:
        """Start from 0."""
        self.calls = self.network = self.pooling = 0.0

    def __enter__(self) -> Probe:
        for model in self._models:
            runner = model.runner
            self._replace(runner, "lanes", 1)
            self._replace(runner, "_run", _Watch(runner._run, self._add_network))
            self._replace(model, "runner", _Watch(runner, self._add_call))
            for pooler in getattr(getattr(model, "network", None), "_poolers", ()):
                self._hooks.append(pooler.register_forward_pre_hook(self._begin_pooling))
                self._hooks.append(pooler.register_forward_hook(self._end_pooling))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, before in reversed(self._undo):
            setattr(owner, name, before)
        for hook in self._hooks:
            hook.remove()
        self._undo, self._hooks = [], []

    def _replace(self, owner: Any, name: str, other: Any) -> None:
        self._undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, other)

    def _add_call(self, seconds: float) -> None:
        self.calls += seconds

    def _add_network(self, seconds: float) -> None:
        self.network += seconds

    def _begin_pooling(self, *_: object) -> None:
        self._began = time.perf_counter()

    def _end_pooling(self, *_: object) -> None:
        self.pooling += time.perf_counter() - self._began


class _Watch:
    """Stands for a callable, and tells how long each call took."""

    def __init__(self, inner: Any, tell: Any) -> None:
        self._inner, self._tell = inner, tell

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return self._inner(*arguments, **named)
        finally:
            self._tell(time.perf_counter() - start)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
