"""Methods by name: registered with a decorator, found through the entry-point group.

A wheel adds a method with two lines in its pyproject:

    [project.entry-points."reranker.methods"]
    mine = "my_package.mine"

and one decorated builder in that module:

    @register("mine", roles=("bi-encoder",))
    def mine(request: RerankRequest, models: ModelPool) -> Pipeline: ...

Listing names imports nothing; a method's module is imported when the method is first used. A
plug-in that does not work is a `PluginError` for who names it, and no one else.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable
from dataclasses import dataclass

from reranker.errors import InvalidRequest, PluginError, UnknownMethod
from reranker.hub.base import ModelPool
from reranker.model_card import ROLES, Role
from reranker.pipeline.pipeline import Pipeline
from reranker.plugins import Plugins
from reranker.types import RerankRequest

Builder = Callable[[RerankRequest, ModelPool], Pipeline]


@dataclass(frozen=True, slots=True)
class Method:
    """A named builder of pipelines.

    Attributes:
        name: what requests call it.
        build: returns the pipeline for a request.
        roles: the model roles that it always uses.
        two_stage: whether `stage1_top_k` applies.
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
_lock = threading.Lock()


def _find_registered(name: str, _: object) -> Method:
    if name not in _registered:
        raise ValueError("its module does not register that name")
    return _registered[name]


_plugins = Plugins("reranker.methods", "method", _find_registered)


def register(
    name: str, *, roles: tuple[Role, ...], two_stage: bool = False
) -> Callable[[Builder], Builder]:
    """Register a builder under a name.

    Raises:
        PluginError: another builder, or another installed package, has the name, or a role is
            none.
    """
    for role in roles:
        if role not in ROLES:
            known = ", ".join(ROLES)
            raise PluginError(f"method {name!r}: its role {role!r} is none of {known}")

    def add(build: Builder) -> Builder:
        entry = _plugins.entry(name)
        with _lock:
            other = _registered.get(name)
            place = owner = _place(build)
            if other is not None:
                owner = _place(other.build)
            elif entry is not None and _package(entry.module) != _package(build.__module__):
                owner = entry.module
            if owner != place:
                raise PluginError(f"method {name!r} is registered twice: by {owner} and by {place}")
            _registered[name] = Method(name, build, roles, two_stage)
        return build

    return add


def unregister(name: str) -> None:
    """Forget a method that this process registered; nothing happens if there is none."""
    with _lock:
        _registered.pop(name, None)


def names() -> tuple[str, ...]:
    """Return the names of all methods, installed or registered, without importing any."""
    with _lock:
        return tuple(sorted({*_registered, *_plugins.names()}))


def get(name: str) -> Method:
    """Return the method of that name, importing its module if it was not yet.

    Raises:
        UnknownMethod: there is none; the message lists the known ones.
        PluginError: it is installed but does not work; the message says why.
    """
    if not isinstance(name, str):
        raise InvalidRequest("method must be a string", param="method")
    # No lock is held here: the module's own `register` takes it, on a thread that may be
    # importing the module already, and imports have locks of their own.
    method = _plugins.load(name) or _registered.get(name)
    if method is None:
        raise _unknown(name)
    return method


def available() -> tuple[tuple[Method, ...], tuple[PluginError, ...]]:
    """Import all methods; return those that work, by name, and what is wrong with the others."""
    works, problems = _plugins.available()
    installed = _plugins.names()
    with _lock:
        works |= {name: each for name, each in _registered.items() if name not in installed}
    return tuple(works[name] for name in sorted(works)), problems


def _place(build: Builder) -> str:
    """Return where a builder is defined; a reload of its module does not move it."""
    return f"{build.__module__}.{build.__qualname__}"


def _package(module: str) -> str:
    return module.partition(".")[0]


def _unknown(name: str) -> UnknownMethod:
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UnknownMethod(
        f"unknown method {name!r}; known methods: {', '.join(names())}{hint}", param="method"
    )
