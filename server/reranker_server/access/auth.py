"""API keys, of which only digests are kept, and what each may use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reranker.errors import UnknownModel
from reranker_server.access.keys import Caller, KeyFile
from reranker_server.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from reranker.hub.catalog import Catalog
    from reranker.model_card import Role
    from reranker.operations import ModelUse, Operation

ANYONE = Caller("anyone")
_KEY_HEADERS = ("x-api-key", "api-key")


class ApiKeys:
    """The API keys; without any, the server is open to all.

    Args:
        keys: those of the settings, without limits; only their digests are kept.
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

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller whose key the headers hold.

        Clients send it as `Authorization: Bearer k` in any case, bare in that header, as
        `X-API-Key` or as `Api-Key`.

        Raises:
            Unauthorized: there is no key, or not a known one.
        """
        if not self:
            return ANYONE
        # The time of this look-up depends on the digest alone, so it tells nothing of the key.
        digest = _digest(_key_in(headers))
        caller = self._plain.get(digest)
        if caller is None and self._file is not None:
            caller = self._file.callers().get(digest)
        if caller is None:
            raise Unauthorized("no valid API key; send it as Authorization: Bearer <key>")
        return caller


def check_allowed(caller: Caller, operation: Operation, catalog: Catalog) -> None:
    """Check that a key may use the method and the models of an operation.

    Embedding and tokenizing count as methods named `embed` and `tokenize`. A model is allowed
    by any of its names: the one in the request and the one in the keys file may differ.

    Raises:
        Forbidden: it may not.
    """
    if caller.methods is not None and operation.name not in caller.methods:
        raise Forbidden(f"this key may not use the method {operation.name!r}", param="method")
    if caller.models is None:
        return
    for use in operation.models:
        if use.name not in caller.models and not _allows(caller.models, use, catalog):
            raise Forbidden(f"this key may not use the model {use.name!r}", param=use.param)


def _allows(names: frozenset[str], use: ModelUse, catalog: Catalog) -> bool:
    return any(use.card.id in (name, _id_of(catalog, use.role, name)) for name in names)


def _id_of(catalog: Catalog, role: Role, name: str) -> str | None:
    try:
        return catalog.find(role, name).id
    except UnknownModel:
        return None


def _key_in(headers: Mapping[str, str]) -> str:
    authorization = headers.get("authorization", "").strip()
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return authorization or next((headers[name] for name in _KEY_HEADERS if name in headers), "")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
