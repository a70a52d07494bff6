"""What keeps browsers and connections in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import MutableHeaders

_PAGE = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
_DOCS = "/docs"  # starts its viewer by an inline script
_DOCS_PAGE = f"{_PAGE}; script-src 'self' 'unsafe-inline'"


def protect(headers: MutableHeaders, path: str) -> None:
    """Add the security headers of an answer; a policy that it brings stays."""
    headers.setdefault("x-content-type-options", "nosniff")
    if not headers.get("content-type", "").startswith("text/html"):
        return
    headers.setdefault("content-security-policy", _DOCS_PAGE if path.startswith(_DOCS) else _PAGE)
    headers.setdefault("x-frame-options", "DENY")
    headers.setdefault("referrer-policy", "no-referrer")
    headers.setdefault("cross-origin-opener-policy", "same-origin")
    headers.setdefault("permissions-policy", "camera=(), geolocation=(), microphone=()")
