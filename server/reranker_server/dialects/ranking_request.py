"""The request of a ranking dialect: one query, its documents, and options by many names."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from pydantic import model_validator
from pydantic.json_schema import SkipJsonSchema

from reranker.types import DEFAULT_MAX_TOKENS_PER_DOC
from reranker_server.dialects.lenient_fields import (
    Count,
    Documents,
    Flag,
    LenientModel,
    MaxTokens,
    Names,
    QueryText,
    TruncationFields,
    documents_named,
    named,
)
from reranker_server.dialects.resolve_model import ModelFields

_ECHO_FIELDS = ("return_documents", "return_text", "return_input")


class Parameters(LenientModel):
    """Options in an object of their own, where DashScope and Pinecone have them."""

    top_n: Count = named("top_n", "top_k")
    return_documents: Flag = named(*_ECHO_FIELDS)

    @model_validator(mode="before")
    @classmethod
    def _ignore_all_but_objects(cls, value: Any) -> Any:
        return value if isinstance(value, Mapping) else {}


class RankingContent(LenientModel):
    """A query and its documents, under whichever of the usual names they are sent."""

    documents: Documents = documents_named()
    query: QueryText
    sent_as: SkipJsonSchema[str] = "documents"

    @classmethod
    def prepare(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Keep one field of documents, a list if there is one; read what is missing as null."""
        names = cls.sent_names("documents")
        lists = (name for name in names if isinstance(payload.get(name), list))
        lone = (name for name in names if isinstance(payload.get(name), str | Mapping))
        chosen = next(lists, next(lone, "documents"))
        kept = {key: value for key, value in payload.items() if key not in names}
        return {"query": None, **kept, chosen: payload.get(chosen), "sent_as": chosen}


class RankingOptions(ModelFields, TruncationFields, ABC):
    """The options of a ranking, in every dialect by all the names that clients use."""

    top_n: Count = named("top_n", "top_k")
    rank_fields: Names = ()
    return_documents: Flag = named(*_ECHO_FIELDS)
    max_tokens_per_doc: MaxTokens = None
    stage1_top_k: Count = None
    raw_scores: Flag = None
    timeout_ms: Count = None
    parameters: Parameters = Parameters()

    @property
    @abstractmethod
    def content(self) -> RankingContent:
        """Return query and documents."""

    @property
    def place(self) -> str:
        """Return where the documents stand in the body, for messages."""
        return self.content.sent_as

    @property
    def max_tokens(self) -> int:
        """Return the bound on a document's tokens.

        Where cutting is forbidden and no bound is sent, the model's window is the only one.
        """
        default = DEFAULT_MAX_TOKENS_PER_DOC if self.forbidden_by is None else sys.maxsize
        return self.max_tokens_per_doc or default


class RankingRequest(RankingOptions, RankingContent):
    """A body with query, documents and options side by side."""

    @property
    def content(self) -> RankingContent:
        """Return query and documents."""
        return self
