"""The values that pass between callers, methods and models; all are frozen."""

from __future__ import annotations

import json
import math
import threading
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, overload

from reranker.errors import Cancelled, DeadlineExceeded, InvalidRequest

DEFAULT_METHOD = "fast"
DEFAULT_RANK_FIELDS = ("text",)
DEFAULT_STAGE1_TOP_K = 100
DEFAULT_MAX_TOKENS_PER_DOC = 512
_COUNTS = ("top_n", "stage1_top_k", "max_tokens_per_doc", "batch_size")


@dataclass(frozen=True, slots=True)
class Document:
    """One candidate: what the caller sent, and the text it is ranked on."""

    original: str | Mapping[str, Any]
    text: str

    @classmethod
    def of(
        cls,
        value: str | Mapping[str, Any] | Document,
        rank_fields: Sequence[str] = DEFAULT_RANK_FIELDS,
    ) -> Document:
        """Read a document: a text, or an object whose `rank_fields` make its text, one per line.

        Raises:
            InvalidRequest: the value is neither, or the object has none of the fields.
        """
        if isinstance(value, Document):
            return value
        if isinstance(value, str):
            return cls(value, clean(value))
        if not isinstance(value, Mapping):
            raise InvalidRequest("a document must be a string or an object", param="documents")
        parts = [_field_text(value[name]) for name in rank_fields if value.get(name) is not None]
        if not parts and not any(name in value for name in rank_fields):
            names = ", ".join(repr(name) for name in rank_fields)
            raise InvalidRequest(
                f"a document has none of the fields to rank on ({names}); "
                "send them, or name others in rank_fields",
                param="documents",
            )
        return cls(value, clean("\n".join(parts)))

    @property
    def is_blank(self) -> bool:
        """Whether nothing is left to read once spaces and control characters are gone."""
        return is_blank(self.text)


def _field_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError) as error:  # keys of mixed types, a cycle
        raise InvalidRequest(
            "a document has a field that cannot be written as text", param="documents"
        ) from error


def clean(text: str) -> str:
    """Replace lone surrogates, which no tokenizer accepts, by U+FFFD; all else stays."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # A pair of escaped surrogates is one character; only the unpaired ones are lost.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


# Private and unassigned code points may be icons, or characters newer than Python's tables.
_INVISIBLE = {"Zs", "Zl", "Zp", "Cc", "Cf"}


def is_blank(text: str) -> bool:
    """Whether the text has only separators, control and format characters."""
    return all(unicodedata.category(char) in _INVISIBLE for char in text)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """Deadline, cancellation and batch size of one request.

    Args:
        deadline: in seconds of `time.monotonic()`; None is none.
        cancelled: set when nobody waits for the result any more.
        batch_size: the most documents per batch; None leaves it to `max_batch_tokens`.
    """

    deadline: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    batch_size: int | None = None

    @property
    def over(self) -> bool:
        """Whether the work should be dropped."""
        return self.cancelled.is_set() or self.remaining() <= 0

    def remaining(self) -> float:
        """Return the seconds left, infinite without a deadline."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def check(self) -> None:
        """Raise if the request was cancelled or its deadline has passed."""
        if self.cancelled.is_set():
            raise Cancelled("the request was cancelled")
        if self.remaining() <= 0:
            raise DeadlineExceeded("the deadline passed before the ranking was done")


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """One request to rank documents for a query; fields are those of the v3 API.

    `profile` names a file of weights for methods that fuse; the engine's setting if None.
    """

    query: str
    documents: tuple[Document, ...]
    model: str
    method: str = DEFAULT_METHOD
    model_cross: str | None = None
    top_n: int | None = None
    stage1_top_k: int = DEFAULT_STAGE1_TOP_K
    max_tokens_per_doc: int = DEFAULT_MAX_TOKENS_PER_DOC
    score_threshold: float | None = None
    explain: bool = False
    profile: str | None = None
    context: RequestContext = field(default_factory=RequestContext)

    def __post_init__(self) -> None:
        if not isinstance(self.query, str):
            raise InvalidRequest("query must be a string", param="query")
        object.__setattr__(self, "query", clean(self.query))
        if is_blank(self.query):
            raise InvalidRequest("query must not be blank", param="query")
        if not self.documents:
            raise InvalidRequest("documents must hold at least one document", param="documents")
        counts = (self.top_n, self.stage1_top_k, self.max_tokens_per_doc, self.context.batch_size)
        for name, value in zip(_COUNTS, counts, strict=True):
            if value is not None and not isinstance(value, Integral):
                raise InvalidRequest(f"{name} must be a whole number", param=name)
            if value is not None and value < 1:
                raise InvalidRequest(f"{name} must be at least 1", param=name)
        least = self.score_threshold
        if least is not None and (not isinstance(least, Real) or math.isnan(least)):
            raise InvalidRequest("score_threshold must be a number", param="score_threshold")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a document that matches the query well: characters [start, end) and a cosine."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class ScoredDocument:
    """One document of a ranking.

    `score` is on the method's documented scale. `stages` has the raw score of every
    stage that saw the document (a cosine, a logit), `features` those of a fusion.
    """

    index: int
    score: float
    document: Document
    stages: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a request cost.

    `query_tokens` and `document_tokens` are what the models read, without special tokens;
    `cached` counts texts and pairs served from the cache.
    """

    query_tokens: int = 0
    document_tokens: int = 0
    cached: int = 0

    @property
    def total_tokens(self) -> int:
        """Return all tokens read."""
        return self.query_tokens + self.document_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.query_tokens + other.query_tokens,
            self.document_tokens + other.document_tokens,
            self.cached + other.cached,
        )


@dataclass(frozen=True, slots=True)
class Ranking(Sequence[ScoredDocument]):
    """Scored documents, best first, ties by index; with models, times and usage.

    `models` maps each role to the weights that served it, `seconds` each stage, and "total",
    to its time, `truncated` lists the indices of documents that were cut, and `query_truncated`
    says whether the query was.
    """

    results: tuple[ScoredDocument, ...]
    method: str
    model: str
    model_cross: str | None = None
    stage1_top_k: int | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    truncated: tuple[int, ...] = ()
    query_truncated: bool = False
    warnings: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[ScoredDocument]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @overload
    def __getitem__(self, position: int) -> ScoredDocument: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[ScoredDocument]: ...
    def __getitem__(self, position: int | slice) -> ScoredDocument | Sequence[ScoredDocument]:
        return self.results[position]
