"""Pinecone: recognised by its headers; documents are objects, and echoed unless refused."""

from __future__ import annotations

from typing import Any, NotRequired, Required

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import Ask
from reranker_server.dialects.ranking import Reading, as_object, lenient, ranks
from reranker_server.dialects.vendors import cohere
from reranker_server.errors import Problem

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "QUOTA_EXCEEDED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Body(cohere.Extensions, total=False):
    """A request in Pinecone's shape."""

    model: str
    query: Required[str]
    documents: Required[list[dict[str, Any]]]
    rank_fields: list[str]
    top_n: int | None
    return_documents: bool
    parameters: dict[str, Any]


class Result(TypedDict):
    """One ranked document."""

    index: int
    score: float
    document: NotRequired[dict[str, Any]]


class Answer(TypedDict):
    """An answer in Pinecone's shape."""

    model: str
    data: list[Result]
    usage: dict[str, int]


class Error(TypedDict):
    """An error."""

    error: dict[str, str]
    status: int


def claims(ask: Ask) -> bool:
    """Whether Pinecone's own headers are there."""
    return "api-key" in ask.headers and "x-pinecone-api-version" in ask.headers


def render(reading: Reading, ranking: Ranking) -> Answer:
    """Return the answer."""
    data: list[Result] = []
    for item in reading.items(ranking):
        result: Result = {"index": item.index, "score": item.score}
        if reading.echo is not False:
            result["document"] = as_object(item.document)
        data.append(result)
    return {"model": reading.label, "data": data, "usage": {"rerank_units": 1}}


def refuse(trouble: Problem) -> tuple[int, Any]:
    """Return an error as Pinecone tells it."""
    status, _ = lenient(trouble)
    code = _CODES.get(status, "INTERNAL")
    return status, {"error": {"code": code, "message": trouble.message}, "status": status}


DIALECT = ranks(
    "pinecone", render, body=Body, answer=Answer, claims=claims, refuse=refuse, error=Error
)
