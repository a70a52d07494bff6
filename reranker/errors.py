"""Every error a caller can meet, as one tree.

    RerankerError
    ├── SettingsError      a setting or a config file is wrong; names file, line and key
    ├── InvalidRequest     the request is wrong; retrying it unchanged cannot help
    │   └── UnknownMethod  no such method; the known ones are listed
    ├── UnknownModel       no such model, or not one that a request may load
    ├── ModelUnavailable   a known model is unavailable now: loading, or its download failed
    │   └── UnusableModel  it stays so until its files or settings change; says why
    ├── MissingExtra       an optional package is not installed; says which command installs it
    ├── PluginError        an installed plug-in does not work; says which and why
    ├── Overloaded         no room now; retry after `retry_after` seconds
    ├── DeadlineExceeded   the caller's deadline passed, the work was dropped
    │   └── Cancelled      the caller went away, the work was dropped
    └── InferenceError     the model failed on this input

Messages are written for the caller: they hold no path of this machine and no
text of a document, so a server may pass them on. What an operator needs beside
that (paths, causes) stands in `detail` and in `__cause__`.
"""

from __future__ import annotations


class RerankerError(Exception):
    """Root of all errors raised on purpose by this project.

    Args:
        message: one sentence for the caller.
        param: the request field or setting at fault, if there is one.
        detail: what only the operator should read, such as a path.
    """

    def __init__(
        self, message: str, *, param: str | None = None, detail: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.detail = detail

    def for_operator(self) -> str:
        """Return message and detail in one line."""
        return f"{self.message} ({self.detail})" if self.detail else self.message


class SettingsError(RerankerError):
    """A setting is unknown or has a value that cannot be used."""


class InvalidRequest(RerankerError):
    """The request breaks the contract."""


class UnknownMethod(InvalidRequest):
    """The method's name is not registered."""


class UnknownModel(RerankerError):
    """The model's id is not known here, or requests may not load it."""


class ModelUnavailable(RerankerError):
    """The model is known but could not be loaded."""


class UnusableModel(ModelUnavailable):
    """The model cannot be served: its files are missing, broken, incomplete or of another kind."""


class MissingExtra(RerankerError):
    """An optional dependency is not installed."""


class PluginError(RerankerError):
    """An installed plug-in cannot be imported or used, or its name is taken."""


class Overloaded(RerankerError):
    """There is no room for this request now."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineExceeded(RerankerError):
    """The deadline passed before the ranking was done."""


class Cancelled(DeadlineExceeded):
    """The caller no longer waits for the response."""


class InferenceError(RerankerError):
    """A model raised, or returned a score that is not finite."""
