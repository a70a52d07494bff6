"""Security headers of responses: what a browser may do with a page of this server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import MutableHeaders

_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
_DOCS = "/docs"  # starts its viewer by an inline script
_DOCS_POLICY = f"{_POLICY}; script-src 'self' 'unsafe-inline'"


def add_page_headers(headers: MutableHeaders, path: str) -> None:
    """Add the headers of an HTML page; a policy that is there already stays."""
    policy = _DOCS_POLICY if path.startswith(_DOCS) else _POLICY
    headers.setdefault("content-security-policy", policy)
    headers.setdefault("x-frame-options", "DENY")
    headers.setdefault("referrer-policy", "no-referrer")
    headers.setdefault("cross-origin-opener-policy", "same-origin")
    headers.setdefault("permissions-policy", "camera=(), geolocation=(), microphone=()")
