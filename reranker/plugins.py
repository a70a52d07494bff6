"""Plug-ins: what installed packages add to this one, found by name through an entry-point group.

Names are read from the packages' metadata, which imports nothing; a plug-in's module is imported
when it is first loaded. One that does not work is an error that names it and leaves the others
alone. Metadata is read once per `sys.path`: who installs a package restarts the process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, NamedTuple, TypeVar

from reranker.errors import PluginError, RerankerError

T = TypeVar("T")
OWN_PACKAGE = "reranker"


class _Claim(NamedTuple):
    """A package's claim on a name."""

    package: str
    entry: EntryPoint


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
        self._path: tuple[str, ...] = ()  # the sys.path for which the claims were read
        self._claims: Mapping[str, tuple[_Claim, ...]] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of all installed plug-ins, sorted, without importing any."""
        return tuple(sorted(self._installed()))

    def entry(self, name: str) -> EntryPoint | None:
        """Return the entry point that a name stands for, None where nothing has that name.

        Raises:
            PluginError: several packages claim the name.
        """
        claim = self._claim(name)
        return claim.entry if claim else None

    def load(self, name: str) -> T | None:
        """Return the plug-in of a name, None where nothing has that name.

        Raises:
            PluginError: it cannot be imported, is not what it should be, or several claim the name.
        """
        claim = self._claim(name)
        if claim is None:
            return None
        who, entry = f"{self.kind} {name!r} of package {claim.package!r}", claim.entry
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
        except Exception as error:  # so may what it calls of the plug-in, such as a constructor
            detail = " ".join(f"{entry.value}: {type(error).__name__}: {error}".split())
            reason = type(error).__name__
            raise PluginError(f"{who} cannot be used: {reason}", detail=detail) from error

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
            for package, entry in claims:
                if entry != self.entry(name):
                    who = f"{self.kind} {name!r} of package {package!r}"
                    message = f"{who} is not used: the name belongs to {OWN_PACKAGE!r}"
                    problems.append(PluginError(message, detail=entry.value))
        return works, tuple(problems)

    def _claim(self, name: str) -> _Claim | None:
        """Return the claim that counts: a name of this project's own package stays its own."""
        claims = self._installed().get(name, ())
        claims = tuple(claim for claim in claims if claim.package == OWN_PACKAGE) or claims
        if len(claims) > 1:
            packages = ", ".join(sorted(claim.package for claim in claims))
            message = f"{self.kind} {name!r} is claimed by several packages: {packages}"
            raise PluginError(message, detail=", ".join(claim.entry.value for claim in claims))
        return claims[0] if claims else None

    def _installed(self) -> Mapping[str, tuple[_Claim, ...]]:
        path = tuple(sys.path)
        if self._path != path:
            found: dict[str, tuple[_Claim, ...]] = {}
            # A package that is on the path twice, as an editable one may be, claims a name once.
            unique = {(each.name, each.value): each for each in entry_points(group=self.group)}
            for entry in unique.values():
                package = entry.dist.name if entry.dist else entry.module.partition(".")[0]
                found[entry.name] = (*found.get(entry.name, ()), _Claim(package, entry))
            self._claims, self._path = found, path
        return self._claims
