"""Who may call. Keys are known by their digest alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reranker.errors import UnknownModel
from reranker.operations import EmbedRequest
from reranker.pipeline import registry
from reranker.types import RerankRequest
from reranker_server.access.keys import Caller, KeyFile
from reranker_server.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from reranker.engine import Reranker
    from reranker.families.base import Role
    from reranker.hub.catalog import Catalog
    from reranker_server.dialects.base import Work

ANYONE = Caller("anyone")
_KEY_HEADERS = ("x-api-key", "api-key")


class Keys:
    """The keys that open the server; without any, it is open to all.

    Args:
        keys: as the settings give them, without limits; only their digests are kept.
        file: a keys file; see `reranker_server.access.keys`.

    Raises:
        SettingsError: the file cannot be used.
    """

    def __init__(self, keys: Iterable[str], file: Path | None = None) -> None:
        plain = dict.fromkeys(keys)
        self._plain = {_digest(key): Caller(f"api-key-{i}") for i, key in enumerate(plain, 1)}
        self._file = None if file is None else KeyFile(file)

    def __bool__(self) -> bool:
        return bool(self._plain) or self._file is not None

    def check(self, headers: Mapping[str, str]) -> Caller:
        """Return who calls; raise Unauthorized unless the headers hold a known key.

        Read as clients send it: `Authorization: Bearer k` in any case, the bare key there,
        `X-API-Key` or `Api-Key`.
        """
        if not self:
            return ANYONE
        # A look-up by digest tells by its time at most something about a digest, and nobody
        # can choose a key by its digest.
        given = _digest(_given(headers))
        caller = self._plain.get(given)
        if caller is None and self._file is not None:
            caller = self._file.callers().get(given)
        if caller is None:
            raise Unauthorized("no valid API key; send it as Authorization: Bearer <key>")
        return caller


def check_allowed(caller: Caller, work: Work, reranker: Reranker) -> None:
    """Raise Forbidden unless the key may use the method and the models of a piece of work.

    Embedding and tokenising count as methods named `embed` and `tokenize`. A model is allowed
    by any of its names: the one in the request and the one in the file may differ.
    """
    method = method_of(work)
    if caller.methods is not None and method not in caller.methods:
        raise Forbidden(f"this key may not use the method {method!r}", param="method")
    if caller.models is None:
        return
    for role, model, param in _models_of(work):
        if not _may_use(caller.models, role, model, reranker):
            raise Forbidden(f"this key may not use the model {model!r}", param=param)


def method_of(work: Work) -> str:
    """Return the method's name, or what stands for it."""
    if isinstance(work, RerankRequest):
        return work.method
    return "embed" if isinstance(work, EmbedRequest) else "tokenize"


def _models_of(work: Work) -> Iterator[tuple[Role, str, str]]:
    """Yield role, id and field of the models that the work would run."""
    if isinstance(work, EmbedRequest):
        yield "bi-encoder", work.model, "model"
        return
    if not isinstance(work, RerankRequest):
        yield work.role, work.model, "model"
        return
    method = registry.get(work.method)
    if "bi-encoder" in method.roles:
        yield "bi-encoder", work.model, "model"
    if work.model_cross is not None and (method.two_stage or "cross-encoder" in method.roles):
        yield "cross-encoder", work.model_cross, "model_cross"


def _may_use(allowed: frozenset[str], role: Role, model: str, reranker: Reranker) -> bool:
    if model in allowed:
        return True
    catalog = reranker.models.catalog
    # An unknown model raises here what it would raise later: 404, not 403.
    wanted = catalog.find(role, model).id
    return any(wanted in (name, _id_of(catalog, role, name)) for name in allowed)


def _id_of(catalog: Catalog, role: Role, name: str) -> str | None:
    try:
        return catalog.find(role, name).id
    except UnknownModel:
        return None


def _given(headers: Mapping[str, str]) -> str:
    authorization = headers.get("authorization", "").strip()
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return authorization or next((headers[name] for name in _KEY_HEADERS if name in headers), "")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
