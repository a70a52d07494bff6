"""A profile function that notes which thread works on a request, and in which files.

What counts as a visit, and when one is idle, is defined in `request_trace`.
"""

from __future__ import annotations

import re
import sys
import sysconfig
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

STANDARD = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))


@dataclass(slots=True)
class Visit:
    """What one thread did between two waits.

    Attributes:
        place: the thread, without its number in a pool.
        origin: the innermost frame of ours when it began; None if there was none.
        files: of ours in which a function ran.
        worked: whether others than we and the standard library were called.
        idle: whether it woke for nothing.
    """

    place: str
    origin: FrameType | None
    files: set[str] = field(default_factory=set)
    worked: bool = False
    idle: bool = False


class Tracer:
    """A profile function that notes visits while it is on.

    Args:
        roots: folders of our packages.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self.roots = tuple(roots)
        self.on = False
        self.visits: list[Visit] = []
        self._open: dict[int, Visit] = {}
        self._kinds: dict[str, str] = {}

    def start(self) -> None:
        """Begin with nothing noted."""
        self.visits, self._open = [], {}
        self.on = True

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Take note of a call or return; what `sys.setprofile` asks for."""
        if not self.on:
            return
        thread = threading.get_ident()
        visit = self._open.get(thread)
        if visit is None:
            before = frame.f_back if event == "call" else frame
            visit = Visit(_place(), self._innermost(before))
            self._open[thread] = visit
            self.visits.append(visit)
        for each in (frame, frame.f_back) if event == "call" else (frame,):
            if each is not None and self._kind(each.f_code.co_filename) == "ours":
                visit.files.add(each.f_code.co_filename)
        foreign = event == "c_call" and _package(argument) not in sys.stdlib_module_names
        visit.worked |= foreign or self._kind(frame.f_code.co_filename) == "other"
        if event == "c_call" and _waits(frame, argument):
            here = self._innermost(frame)
            visit.idle = here is not None and here is visit.origin and not visit.worked
            del self._open[thread]

    def _innermost(self, frame: FrameType | None) -> FrameType | None:
        while frame is not None and self._kind(frame.f_code.co_filename) != "ours":
            frame = frame.f_back
        return frame

    def _kind(self, file: str) -> str:
        if file not in self._kinds:
            standard = file.startswith(("<", *STANDARD)) and "site-packages" not in file
            ours = file.startswith(self.roots)
            self._kinds[file] = "ours" if ours else "standard" if standard else "other"
        return self._kinds[file]


def _place() -> str:
    """Return the present thread's name without its number in a pool."""
    if threading.current_thread() is threading.main_thread():
        return "event loop"
    return re.sub(r"[-_ ]\d+\b", "", threading.current_thread().name)


def _package(function: Any) -> str:
    """Return the top-level package of a C function, or of the object it is a method of."""
    owner = type(getattr(function, "__self__", None)).__module__
    return str(getattr(function, "__module__", None) or owner).partition(".")[0]


def _waits(frame: FrameType, function: Any) -> bool:
    """Tell whether a call of a C function is about to wait for another thread or for the loop."""
    name, owner = function.__name__, getattr(function, "__self__", None)
    if name == "acquire":  # of a lock that is held; elsewhere threading itself only tries
        inside = frame.f_code.co_filename == threading.__file__
        held = bool(getattr(owner, "locked", bool)())
        return held and (not inside or frame.f_code is threading.Condition.wait.__code__)
    if name == "get":
        return type(owner).__name__ == "SimpleQueue"
    return name in ("poll", "select", "control", "sleep") and frame.f_locals.get("timeout") != 0
