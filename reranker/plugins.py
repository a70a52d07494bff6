"""Plug-ins: what installed packages add to this one, found by name through an entry-point group.

Names are read from the packages' metadata, which imports nothing; a plug-in's module is imported
when it is first loaded. One that does not work is an error that names it and leaves the others
alone. Metadata is read once per `sys.path`: who installs a package restarts the process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from reranker.errors import PluginError, RerankerError

T = TypeVar("T")
OWN_PACKAGE = "reranker"
_Entries = Mapping[str, tuple[EntryPoint, ...]]


class Plugins(Generic[T]):
    """The plug-ins of one entry-point group.

    Args:
        group: the entry-point group, such as "reranker.methods".
        kind: what messages call one of them, such as "method".
        check: takes a plug-in's name and the object its entry point refers to, and returns the
            plug-in; raises ValueError with the reason if the object is none.
    """

    def __init__(self, group: str, kind: str, check: Callable[[str, Any], T]) -> None:
        self.group = group
        self.kind = kind
        self._check = check
        self._read: tuple[tuple[str, ...], _Entries] = ((), {})  # for which sys.path, and what

    def names(self) -> tuple[str, ...]:
        """Return the names of all installed plug-ins, sorted, without importing any."""
        return tuple(sorted(self._installed()))

    def entry(self, name: str) -> EntryPoint | None:
        """Return the entry point that a name stands for, None where nothing has that name.

        A name that this project's own package uses stays its own, whoever else claims it.

        Raises:
            PluginError: several packages claim the name.
        """
        claims = self._installed().get(name, ())
        claims = tuple(entry for entry in claims if _package(entry) == OWN_PACKAGE) or claims
        if len(claims) > 1:
            packages = ", ".join(sorted(_package(entry) for entry in claims))
            message = f"{self.kind} {name!r} is claimed by several packages: {packages}"
            raise PluginError(message, detail=", ".join(entry.value for entry in claims))
        return claims[0] if claims else None

    def load(self, name: str) -> T | None:
        """Return the plug-in of a name, None where nothing has that name.

        Raises:
            PluginError: it cannot be imported, is not what it should be, or several claim the name.
        """
        entry = self.entry(name)
        if entry is None:
            return None
        who = f"{self.kind} {name!r} of package {_package(entry)!r}"
        try:
            found = entry.load()
        except Exception as error:  # a plug-in's module may raise anything at all
            reason = error.message if isinstance(error, RerankerError) else type(error).__name__
            # The text of a foreign exception may hold paths: it is for the operator.
            detail = " ".join(f"{entry.value}: {type(error).__name__}: {error}".split())
            raise PluginError(f"{who} cannot be imported: {reason}", detail=detail) from error
        try:
            return self._check(name, found)
        except ValueError as error:
            raise PluginError(f"{who} cannot be used: {error}", detail=entry.value) from error

    def available(self) -> tuple[dict[str, T], tuple[PluginError, ...]]:
        """Load all; return those that work by name, and what is wrong with each of the others."""
        works: dict[str, T] = {}
        problems: list[PluginError] = []
        for name, claims in sorted(self._installed().items()):
            try:
                plugin = self.load(name)
            except PluginError as error:
                problems.append(error)
                continue
            if plugin is not None:
                works[name] = plugin
            problems += [
                PluginError(
                    f"{self.kind} {name!r} of package {_package(entry)!r} is not used: "
                    f"the name belongs to {OWN_PACKAGE!r}",
                    detail=entry.value,
                )
                for entry in claims
                if entry != self.entry(name)
            ]
        return works, tuple(problems)

    def _installed(self) -> _Entries:
        path = tuple(sys.path)
        if self._read[0] != path:
            self._read = (path, _read(self.group))
        return self._read[1]


def _read(group: str) -> _Entries:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    # A package that lies on the path twice, as an editable one may, claims its names once.
    for entry in {(entry.name, entry.value): entry for entry in entry_points(group=group)}.values():
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.module.partition(".")[0]
