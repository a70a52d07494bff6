"""Methods by name: registered with a decorator, found through the entry-point group.

A wheel adds a method with two lines in its pyproject:

    [project.entry-points."reranker.methods"]
    mine = "my_package.mine"

and one decorated builder in that module:

    @register("mine", roles=("bi-encoder",))
    def mine(request: RerankRequest, models: ModelPool) -> Pipeline: ...

Listing names imports nothing; a method's module is imported when it is first asked for.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from reranker.errors import InvalidRequest, UnknownMethod
from reranker.families.base import Role
from reranker.hub.base import ModelPool
from reranker.pipeline.pipeline import Pipeline
from reranker.types import RerankRequest

GROUP = "reranker.methods"
Builder = Callable[[RerankRequest, ModelPool], Pipeline]


@dataclass(frozen=True, slots=True)
class Method:
    """A named builder of pipelines and what it needs, as data.

    `roles` are the model roles it always uses, `two_stage` says that `stage1_top_k` applies.
    """

    name: str
    build: Builder
    roles: tuple[Role, ...]
    two_stage: bool

    @property
    def summary(self) -> str:
        """Return the first line of the builder's docstring."""
        return (self.build.__doc__ or "").strip().partition("\n")[0]

    def check(self, request: RerankRequest) -> None:
        """Raise InvalidRequest if the request lacks what the method always needs."""
        if "cross-encoder" in self.roles and not request.model_cross:
            raise InvalidRequest(
                f"method {self.name!r} needs a cross-encoder: name one in model_cross",
                param="model_cross",
            )


_registered: dict[str, Method] = {}
_lock = threading.RLock()


def register(
    name: str, *, roles: tuple[Role, ...], two_stage: bool = False
) -> Callable[[Builder], Builder]:
    """Register a builder under a name.

    Raises:
        ValueError: another builder has the name already.
    """

    def add(build: Builder) -> Builder:
        with _lock:
            other = _registered.get(name)
            taken = {_place(other.build)} if other else _claims(name, build.__module__)
            for place in taken - {_place(build)}:
                raise ValueError(
                    f"method {name!r} is registered twice: by {place} and by {_place(build)}"
                )
            _registered[name] = Method(name, build, roles, two_stage)
        return build

    return add


def names() -> tuple[str, ...]:
    """Return the names of all methods, installed or registered, without importing any."""
    with _lock:
        registered = set(_registered)
    return tuple(sorted(registered | set(_installed())))


def get(name: str) -> Method:
    """Return the method of that name, importing its module if it was not yet.

    Raises:
        UnknownMethod: there is none; the message lists the known ones.
        ValueError: two installed packages claim the name.
    """
    if not isinstance(name, str):
        raise InvalidRequest("method must be a string", param="method")
    method = _registered.get(name)
    if method is not None:
        return method
    entries = _installed().get(name)
    if entries is None:
        raise _unknown(name)
    if len(entries) > 1:
        claims = ", ".join(sorted(entry.value for entry in entries))
        raise ValueError(f"method {name!r} is claimed by several packages: {claims}")
    # No lock is held here: the module's own `register` takes it, on a thread that may be
    # importing the module already, and imports have locks of their own.
    entries[0].load()
    if name not in _registered:
        raise ValueError(f"{entries[0].value} is installed as {name!r} but does not register it")
    return _registered[name]


def _place(build: Builder) -> str:
    """Return where a builder is defined; a reload of its module does not move it."""
    return f"{build.__module__}.{getattr(build, '__qualname__', '')}"


def _claims(name: str, module: str) -> set[str]:
    """Return modules of other packages that are installed as a method of that name."""
    package = module.partition(".")[0]
    modules = {entry.module for entry in _installed().get(name, [])}
    return {each for each in modules if each.partition(".")[0] != package}


def _unknown(name: str) -> UnknownMethod:
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UnknownMethod(
        f"unknown method {name!r}; known methods: {', '.join(names())}{hint}", param="method"
    )


def _installed() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in {(entry.name, entry.value): entry for entry in entry_points(group=GROUP)}.values():
        found.setdefault(entry.name, []).append(entry)
    return found
