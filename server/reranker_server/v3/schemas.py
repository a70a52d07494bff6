"""What the v3 endpoint takes and gives, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, JsonValue

from reranker.types import (
    DEFAULT_MAX_TOKENS_PER_DOC,
    DEFAULT_METHOD,
    DEFAULT_RANK_FIELDS,
    DEFAULT_STAGE1_TOP_K,
)

# A plain check for the type: pydantic's own `str` refuses lone surrogates, which JSON can hold.
Text = InstanceOf[str]
# Strict: true for a number, or "no" for a switch, is a mistake that its sender should hear of.
Count = Annotated[int, Field(strict=True, ge=1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Switch = Annotated[bool, Field(strict=True)]

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

    model: Text = Field(description="deployed model; its bi-encoder scores `fast` and stage 1")
    query: Text = Field(description="what is looked for; not blank")
    documents: list[Text | dict[str, Any]] = Field(
        description="texts, or objects ranked on their `text` or on `rank_fields`", min_length=1
    )
    method: Text | None = Field(
        DEFAULT_METHOD, description="fast, standard, optimal, best or any registered name"
    )
    model_cross: Text | None = Field(
        None,
        description="cross-encoder; needed by `standard` and `optimal`, used by `best` if given",
    )
    top_n: Count | None = Field(None, description="how many results come back; all if absent")
    stage1_top_k: Count | None = Field(
        DEFAULT_STAGE1_TOP_K, description="how many documents leave stage 1 of `optimal` and `best`"
    )
    max_tokens_per_doc: Count | None = Field(
        DEFAULT_MAX_TOKENS_PER_DOC, description="a longer document is cut and marked"
    )
    batch_size: Count | None = Field(None, description="most documents in one run of a model")
    return_documents: Switch | None = Field(True, description="echo each document as it was sent")
    rank_fields: list[Text] | None = Field(
        None, description="fields of an object that make its text, in order"
    )
    score_threshold: Number | None = Field(
        None, description="results below it are left out; inclusive"
    )
    explain: Switch | None = Field(
        False, description="add scores per stage and best-matching spans"
    )
    timeout_ms: Count | None = Field(None, description="past it 504, and the work is dropped")

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields to rank objects on."""
        return tuple(self.rank_fields or DEFAULT_RANK_FIELDS)


class SpanOut(BaseModel):
    """A part of the document's text that matches the query: characters [start, end)."""

    start: int
    end: int
    text: str
    score: float


class Explanation(BaseModel):
    """Why a document stands where it does."""

    stages: dict[str, float] = Field(description="raw score of each stage: a cosine, a logit")
    features: dict[str, float] = Field(description="parts that `best` was fused from")
    spans: list[SpanOut] = Field(description="best-matching parts of the text, for `best`")


class ResultOut(BaseModel):
    """One ranked document."""

    index: int = Field(description="position in the request")
    relevance_score: float = Field(description="on the method's scale, within [0, 1]")
    document: str | dict[str, Any] | None = Field(None, description="as it was sent")
    explanation: Explanation | None = None


class UsageOut(BaseModel):
    """Tokens that the models read."""

    query_tokens: int
    document_tokens: int
    total_tokens: int
    cached: int = Field(description="texts and pairs that needed no model run")


class Meta(BaseModel):
    """How the ranking came about."""

    method: str
    deployed_model_id: str
    model_cross: str | None = Field(None, description="present where one was used")
    stage1_top_k: int | None = Field(None, description="present for two-stage methods")
    models: dict[str, str] = Field(description="role -> id of the weights that served it")
    usage: UsageOut
    truncated: list[int] = Field(description="indices of documents that were cut")
    timings_ms: dict[str, float] = Field(description="time of each stage, and of the whole")
    warnings: list[str]


class RerankAnswer(BaseModel):
    """Results, best first, ties by index."""

    results: list[ResultOut]
    meta: Meta


class ErrorOut(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(BaseModel):
    """The one error body."""

    error: ErrorOut
    message: str
    detail: str
