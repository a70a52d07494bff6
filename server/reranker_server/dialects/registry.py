"""Dialects by route: the built-in ones and those of other wheels, found by their entry points.

A dialect is one file with a `Dialect` in it, and one line in the wheel's pyproject:

    [project.entry-points."reranker.dialects"]
    mine = "my_package.mine:MINE"
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points

from pydantic import TypeAdapter

from reranker_server.dialects.base import Dialect, Endpoint

log = logging.getLogger(__name__)

GROUP = "reranker.dialects"
_OWN = "reranker_server."
_NAME = re.compile(r"[a-z][a-z0-9-]*")


class DialectRegistry:
    """The dialects that are served.

    One that does not import, is no `Dialect`, or whose name or path is taken, is left out with a
    line in the log; the built-in ones come first, so no other can take their place.

    Args:
        entries: of the group; by default those that are installed.
        reserved: paths that are not free.
    """

    def __init__(
        self, entries: Iterable[EntryPoint] | None = None, reserved: Iterable[str] = ()
    ) -> None:
        found = entry_points(group=GROUP) if entries is None else entries
        self._dialects: dict[str, Dialect] = {}
        self._paths = dict.fromkeys(reserved, "the server itself")
        for entry in sorted(set(found), key=_built_in_first):
            try:
                self._add(_load(entry))
            except Exception as error:  # a plug-in may raise anything
                log.error(
                    "dialect %r (%s) is left out: %s: %s",
                    entry.name,
                    entry.value,
                    type(error).__name__,
                    error,
                )
        self.dialects = tuple(self._dialects.values())

    def _add(self, dialect: Dialect) -> None:
        if dialect.name in self._dialects:
            raise ValueError(f"the name {dialect.name!r} is taken")
        for path in (*dialect.paths, *dialect.shared_paths):
            if path in self._paths:
                raise ValueError(f"the path {path} is taken by {self._paths[path]}")
        self._dialects[dialect.name] = dialect
        self._paths |= dict.fromkeys((*dialect.paths, *dialect.shared_paths), dialect.name)

    def routes(self) -> Iterator[tuple[str, Endpoint]]:
        """Yield each path with its endpoint, those without a variable part first."""
        matching = [each for each in self.dialects if each.matches is not None]
        matching.sort(key=lambda each: (-each.precedence, each.name))
        routes: list[tuple[str, Endpoint]] = []
        for dialect in self.dialects:
            others = tuple(each for each in matching if each is not dialect)
            routes += [(path, Endpoint(dialect, others)) for path in dialect.shared_paths]
            routes += [(path, Endpoint(dialect)) for path in dialect.paths]
        yield from sorted(routes, key=lambda route: "{" in route[0])


def _built_in_first(entry: EntryPoint) -> tuple[bool, str, str]:
    return not entry.value.startswith(_OWN), entry.name, entry.value


def _load(entry: EntryPoint) -> Dialect:
    """Import a dialect and check its shape."""
    dialect = entry.load()
    if not isinstance(dialect, Dialect):
        raise TypeError(f"it is no Dialect but a {type(dialect).__name__}")
    if not _NAME.fullmatch(dialect.name):
        raise ValueError(f"{dialect.name!r} is not a name of lower-case letters and digits")
    paths = (*dialect.paths, *dialect.shared_paths)
    if not paths and dialect.matches is None:
        raise ValueError("it has no path and matches nothing")
    if not all(path.startswith("/") for path in paths):
        raise ValueError("a path does not start with /")
    for shape in (dialect.request, dialect.response, dialect.error):
        TypeAdapter(shape).json_schema()
    return dialect
