"""DashScope's own shape: `input` is an object with query and documents."""

from __future__ import annotations

import uuid
from typing import Any, Required

from typing_extensions import TypedDict

from reranker.types import Ranking
from reranker_server.dialects.base import Ask
from reranker_server.dialects.ranking import Reading, as_object, lenient, ranks
from reranker_server.dialects.vendors import cohere
from reranker_server.errors import Problem


class Body(cohere.Extensions, total=False):
    """A request in DashScope's shape; `parameters` has top_n and return_documents."""

    model: str
    input: Required[dict[str, Any]]
    parameters: dict[str, Any]


class Output(TypedDict):
    """What was ranked."""

    results: list[cohere.Result]


class Answer(TypedDict):
    """An answer in DashScope's shape."""

    output: Output
    usage: dict[str, int]
    request_id: str


class Error(TypedDict):
    """An error."""

    code: str
    message: str
    request_id: str


def claims(ask: Ask) -> bool:
    """Whether query and documents stand inside `input`."""
    return isinstance(ask.payload.get("input"), dict)


def render(reading: Reading, ranking: Ranking) -> Answer:
    """Return the answer."""
    results: list[cohere.Result] = []
    for item in reading.items(ranking):
        result: cohere.Result = {"index": item.index, "relevance_score": item.score}
        if reading.echo:
            result["document"] = as_object(item.document)
        results.append(result)
    return {
        "output": {"results": results},
        "usage": {"total_tokens": ranking.usage.total_tokens},
        "request_id": str(uuid.uuid4()),
    }


def refuse(trouble: Problem) -> tuple[int, Any]:
    """Return an error as DashScope tells it."""
    status, _ = lenient(trouble)
    return status, {
        "code": trouble.code,
        "message": trouble.message,
        "request_id": str(uuid.uuid4()),
    }


DIALECT = ranks(
    "dashscope", render, body=Body, answer=Answer, claims=claims, refuse=refuse, error=Error
)
