"""Dialects by route: the built-in ones and those of other wheels, found by their entry points.

A dialect is one file with a `Dialect` in it, and one line in the wheel's pyproject:

    [project.entry-points."reranker.dialects"]
    mine = "my_package.mine:MINE"
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter

from reranker.plugins import OWN_PACKAGE, Plugins
from reranker_server.dialects.base import Dialect, Endpoint

log = logging.getLogger(__name__)


def _check(name: str, dialect: Any) -> Dialect:
    """Check the shape of what an entry point refers to."""
    if not isinstance(dialect, Dialect):
        raise ValueError(f"it is no Dialect but a {type(dialect).__name__}")
    if dialect.name != name:
        raise ValueError(f"it is installed as {name!r} but calls itself {dialect.name!r}")
    paths = (*dialect.paths, *dialect.shared_paths)
    if not paths and dialect.matches is None:
        raise ValueError("it has no path and matches nothing")
    if not all(path.startswith("/") for path in paths):
        raise ValueError("a path does not start with /")
    for shape in (dialect.request, dialect.response, dialect.error):
        try:
            TypeAdapter(shape).json_schema()
        except Exception as error:
            raise ValueError(f"pydantic cannot describe {shape!r}") from error
    return dialect


PLUGINS = Plugins("reranker.dialects", "dialect", _check)


class DialectRegistry:
    """The dialects that are served.

    One that does not import, has the wrong shape, or whose name or path is taken, is left out
    with a line in the log; the built-in ones come first, so no other can take their place.

    Args:
        reserved: paths that are not free.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        available, problems = PLUGINS.available()
        for problem in problems:
            log.error("%s", problem.for_operator())
        self.dialects: tuple[Dialect, ...] = ()
        owners = dict.fromkeys(reserved, "the server itself")
        for dialect in sorted(available.values(), key=lambda each: not _is_built_in(each.name)):
            paths = (*dialect.paths, *dialect.shared_paths)
            taken = next((path for path in paths if path in owners), None)
            if taken is not None:
                log.error(
                    "dialect %r cannot be used: its path %s is taken by %s",
                    dialect.name,
                    taken,
                    owners[taken],
                )
                continue
            owners |= dict.fromkeys(paths, f"dialect {dialect.name!r}")
            self.dialects += (dialect,)

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


def _is_built_in(name: str) -> bool:
    entry = PLUGINS.entry(name)
    return entry is not None and entry.dist is not None and entry.dist.name == OWN_PACKAGE
