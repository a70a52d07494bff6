"""From the engine's error tree to HTTP: one status, type and code per class.

    InvalidRequest, UnknownMethod   422 (400 in other dialects)   invalid_request_error
    UnknownModel                    404                           not_found
    Overloaded                      429 + Retry-After             rate_limit_error
    InferenceError                  500                           server_error
    UnusableModel                   422, no Retry-After           invalid_request_error
    ModelUnavailable, MissingExtra  503 + Retry-After             service_unavailable
    DeadlineExceeded, Cancelled     504                           timeout_error

Errors of the server itself (body, key, route) have classes of their own below.
No message holds exception text, a path or a stack: those go to the log.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from reranker import errors


class BadBody(errors.InvalidRequest):
    """The body is no JSON object."""


class TooLarge(errors.InvalidRequest):
    """The body or the list of documents is over the limit."""


class Compressed(errors.InvalidRequest):
    """The body is compressed."""


class NoDocuments(errors.InvalidRequest):
    """The list of documents is empty."""


class SlowBody(errors.RerankerError):
    """The body did not arrive in time."""


class Unauthorized(errors.RerankerError):
    """No key, or a wrong one."""


class BudgetSpent(errors.RerankerError):
    """The key's token budget is used up."""


class Forbidden(errors.RerankerError):
    """The key may not use this method or model."""


class RateLimited(errors.Overloaded):
    """Over the key's rate."""


class ShuttingDown(errors.ModelUnavailable):
    """The server accepts no new requests."""

    def __init__(self) -> None:
        super().__init__("the server is shutting down; try again")


class QuotaUnavailable(errors.ModelUnavailable):
    """The store of rates and budgets does not respond."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__("rates and budgets cannot be checked now; try again", detail=detail)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as an HTTP response."""

    status: int
    type: str
    message: str
    code: str
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the one error body; clients of most APIs find the message where they look."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error, "message": self.message, "detail": self.message}


# Most special class first: the first match counts.
STATUS: dict[type[errors.RerankerError], tuple[int, str, str]] = {
    BadBody: (400, "invalid_request_error", "malformed_body"),
    TooLarge: (413, "invalid_request_error", "too_large"),
    Compressed: (415, "invalid_request_error", "compressed_body"),
    NoDocuments: (422, "invalid_request_error", "no_documents"),
    errors.UnknownMethod: (422, "invalid_request_error", "unknown_method"),
    errors.InvalidRequest: (422, "invalid_request_error", "invalid_request"),
    SlowBody: (408, "timeout_error", "slow_body"),
    BudgetSpent: (402, "insufficient_credits", "budget_spent"),
    Forbidden: (403, "permission_error", "not_allowed"),
    RateLimited: (429, "rate_limit_error", "rate_limited"),
    ShuttingDown: (503, "service_unavailable", "shutting_down"),
    QuotaUnavailable: (503, "service_unavailable", "quota_unavailable"),
    Unauthorized: (401, "authentication_error", "invalid_api_key"),
    errors.UnusableModel: (422, "invalid_request_error", "unusable_model"),
    errors.UnknownModel: (404, "not_found", "unknown_model"),
    errors.Overloaded: (429, "rate_limit_error", "overloaded"),
    errors.MissingExtra: (503, "service_unavailable", "missing_extra"),
    errors.ModelUnavailable: (503, "service_unavailable", "model_unavailable"),
    errors.Cancelled: (504, "timeout_error", "cancelled"),
    errors.DeadlineExceeded: (504, "timeout_error", "deadline_exceeded"),
    errors.InferenceError: (500, "server_error", "inference_failed"),
    errors.PluginError: (500, "server_error", "broken_plugin"),
    errors.SettingsError: (500, "server_error", "misconfigured"),
    errors.RerankerError: (500, "server_error", "internal"),
}
_RETRY_MODEL_SECONDS = 5
_HALF_MESSAGE = 500
_CLOSE = {"Connection": "close"}  # the rest of the body is not read


def problem_of(error: Exception) -> Problem:
    """Return the HTTP form of an error; of one that is not ours the message says nothing."""
    for kind, (status, name, code) in STATUS.items():
        if isinstance(error, kind):
            message = _shorten(error.message)
            return Problem(status, name, message, code, error.param, _headers(error))
    return Problem(500, "server_error", "the server failed; the log says why", "internal")


def _shorten(message: str) -> str:
    """Leave out the middle of a long message, such as one with a huge value of the caller's."""
    if len(message) <= 2 * _HALF_MESSAGE:
        return message
    return f"{message[:_HALF_MESSAGE]} ... {message[-_HALF_MESSAGE:]}"


def _headers(error: errors.RerankerError) -> dict[str, str]:
    if isinstance(error, errors.Overloaded):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    if isinstance(error, errors.UnusableModel):
        return {}  # waiting does not help
    if isinstance(error, errors.ModelUnavailable | errors.MissingExtra):
        # A new connection may lead to another server; this one's is about to end.
        close = _CLOSE if isinstance(error, ShuttingDown) else {}
        return {"Retry-After": str(_RETRY_MODEL_SECONDS), **close}
    if isinstance(error, Compressed):
        return {"Accept-Encoding": "identity", **_CLOSE}
    if isinstance(error, TooLarge | SlowBody):
        return dict(_CLOSE)
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    return {}


def http_problem(status: int) -> Problem:
    """Return the problem of a route or verb that does not exist."""
    if status == 405:
        return Problem(405, "invalid_request_error", "this route takes another verb", "wrong_verb")
    if status == 404:
        return Problem(404, "not_found", "no such route; /docs lists them", "unknown_route")
    kind = "invalid_request_error" if status < 500 else "server_error"
    return Problem(status, kind, "the request could not be served", "http")
