"""Shapes of the v3 API: the request, the response, and the one error body of the server."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, JsonValue, WithJsonSchema

from reranker.types import (
    DEFAULT_MAX_TOKENS_PER_DOC,
    DEFAULT_METHOD,
    DEFAULT_STAGE1_TOP_K,
)

# pydantic's own `str` rejects lone surrogates, which JSON can hold.
StrictText = InstanceOf[str]
# Documents are checked where their text is taken; a check here would be a second pass.
DocumentList = Annotated[
    list[Any],
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": True}]
            },
        }
    ),
]
# Strict: true for a number, or "no" for a flag, is an error.
StrictCount = Annotated[int, Field(strict=True, ge=1)]
StrictNumber = Annotated[float, Field(strict=True, allow_inf_nan=False)]
StrictFlag = Annotated[bool, Field(strict=True)]

_DOCUMENTS: list[JsonValue] = [
    "Machine learning is a subset of artificial intelligence that learns from data.",
    "Python is a popular programming language for web development.",
    "Supervised learning requires labeled training data.",
]


class RerankBody(BaseModel):
    """A request to rank documents for a query; unknown fields are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "model": "all-MiniLM-L6-v2",
                    "query": "What is machine learning?",
                    "documents": _DOCUMENTS,
                    "method": "fast",
                    "top_n": 2,
                },
                {
                    "model": "all-MiniLM-L6-v2",
                    "model_cross": "minilm-l6-cross-encoder",
                    "query": "What is machine learning?",
                    "documents": [{"id": i, "text": text} for i, text in enumerate(_DOCUMENTS)],
                    "method": "best",
                    "explain": True,
                },
            ]
        },
    )

    model: StrictText = Field(
        description="deployed model; its bi-encoder scores `fast` and stage 1"
    )
    query: StrictText = Field(description="the search query; not blank")
    documents: DocumentList = Field(
        description="texts, or objects ranked on their `text` or on `rank_fields`"
    )
    method: StrictText | None = Field(
        DEFAULT_METHOD, description="fast, standard, optimal, best or any registered name"
    )
    model_cross: StrictText | None = Field(
        None,
        description="cross-encoder; needed by `standard` and `optimal`, used by `best` if named",
    )
    top_n: StrictCount | None = Field(None, description="how many results come back; all if absent")
    stage1_top_k: StrictCount | None = Field(
        DEFAULT_STAGE1_TOP_K, description="how many documents leave stage 1 of `optimal` and `best`"
    )
    max_tokens_per_doc: StrictCount | None = Field(
        DEFAULT_MAX_TOKENS_PER_DOC, description="a longer document is cut and marked"
    )
    batch_size: StrictCount | None = Field(None, description="most documents per batch")
    return_documents: StrictFlag | None = Field(
        True, description="echo each document as it was sent"
    )
    rank_fields: list[StrictText] | None = Field(
        None, description="fields of an object that make its text, in order"
    )
    score_threshold: StrictNumber | None = Field(
        None, description="results below it are left out; inclusive"
    )
    explain: StrictFlag | None = Field(
        False, description="add scores per stage and best-matching spans"
    )
    timeout_ms: StrictCount | None = Field(None, description="past it 504, and the work is dropped")


class MatchingSpan(BaseModel):
    """A part of the document's text that matches the query: characters [start, end)."""

    start: int
    end: int
    text: str
    score: float


class Explanation(BaseModel):
    """Scores of each stage for one document."""

    stages: dict[str, float] = Field(description="raw score of each stage: a cosine, a logit")
    features: dict[str, float] = Field(description="features that `best` fuses")
    spans: list[MatchingSpan] = Field(description="best-matching parts of the text, for `best`")


class RankedDocument(BaseModel):
    """One ranked document."""

    index: int = Field(description="position in the request")
    relevance_score: float = Field(description="on the method's scale, within [0, 1]")
    document: str | dict[str, Any] | None = Field(None, description="as it was sent")
    explanation: Explanation | None = None


class TokenUsage(BaseModel):
    """Tokens that the models read."""

    query_tokens: int
    document_tokens: int
    total_tokens: int
    cached: int = Field(description="texts and pairs served from the cache")


class ResponseMeta(BaseModel):
    """Which method and models ranked, and at what cost."""

    method: str
    deployed_model_id: str
    model_cross: str | None = Field(None, description="present where one was used")
    stage1_top_k: int | None = Field(None, description="present for two-stage methods")
    models: dict[str, str] = Field(description="role -> id of the weights that served it")
    usage: TokenUsage
    truncated: list[int] = Field(description="indices of documents that were cut")
    timings_ms: dict[str, float] = Field(description="time of each stage, and of the whole")
    warnings: list[str]


class RerankResponse(BaseModel):
    """Results, best first, ties by index."""

    results: list[RankedDocument]
    meta: ResponseMeta


class ErrorDetail(BaseModel):
    """An error."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorResponse(BaseModel):
    """The one error body."""

    error: ErrorDetail
    message: str
    detail: str
