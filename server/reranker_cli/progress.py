"""Progress bars with an estimate of the time left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.progress import TaskID

    from reranker_bench.comparison.plan import Task

_SHOWN_FAILURES = 5


class Bars:
    """One bar a phase, on a console; see `reranker_bench.comparison.runner.Observer`."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            speed_estimate_period=300,
        )
        self._bar: TaskID | None = None
        self._failures = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, phase: str, total: int, done: int) -> None:
        """Show a new bar."""
        self._bar = None
        if total:
            self._bar = self._progress.add_task(phase, total=total, completed=done)

    def step(self, task: Task, error: str | None = None) -> None:
        """Move the bar on; show the first failures at once."""
        if self._bar is not None:
            self._progress.advance(self._bar)
        if error is not None:
            self._failures += 1
            if self._failures <= _SHOWN_FAILURES:
                where = f"{task.dataset}, query {task.query}, {task.method}"
                self._progress.console.print(f"[red]failed:[/] {escape(f'{where}: {error}')}")
