"""Who may call. Keys are compared by digest and in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from reranker_server.errors import Unauthorized

_KEY_HEADERS = ("x-api-key", "api-key")


class Keys:
    """The keys that open the server; without any, it is open to all.

    Args:
        keys: as the settings give them; only their digests are kept.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise Unauthorized unless the headers hold a known key.

        Read as clients send it: `Authorization: Bearer k` in any case, the bare key there,
        `X-API-Key` or `Api-Key`.
        """
        if not self._digests:
            return
        given = _digest(_given(headers))
        # Every key is compared, so the time taken says nothing about which one was close.
        if sum([hmac.compare_digest(given, known) for known in self._digests]) == 0:
            raise Unauthorized("no valid API key; send it as Authorization: Bearer <key>")


def _given(headers: Mapping[str, str]) -> str:
    authorization = headers.get("authorization", "").strip()
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return authorization or next((headers[name] for name in _KEY_HEADERS if name in headers), "")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
