"""Types of the fields that clients of other APIs send, read leniently.

Null counts as absent, unknown fields are ignored, and a value is rejected only where going on
would mean guessing. Documents are checked as a list here and one by one in `parse_documents`:
pydantic would copy each of 10,000.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from reranker.errors import InvalidRequest
from reranker.types import Document, clean
from reranker_server.errors import TooLarge

DOCUMENT_FIELDS = ("documents", "texts", "passages", "contexts", "input")
_MAX_DEPTH = 8  # of content parts within content parts


def read_text(value: Any) -> str | None:
    """Read a string; a blank one is absent."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise lenient_error("must be a string")
    return value


def read_count(value: Any) -> int | None:
    """Read a whole number of at least 0; clients also send "5" and 5.0."""
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise lenient_error("must be a whole number of at least 0")
    return value


def read_flag(value: Any) -> bool | None:
    """Read true or false; "true" and "false" count as such."""
    if isinstance(value, str):
        value = {"true": True, "false": False, "": None}.get(value.strip().lower(), value)
    if value is None or isinstance(value, bool):
        return value
    raise lenient_error("must be true or false")


def read_names(value: Any) -> tuple[str, ...]:
    """Read a list of strings; a lone string is a list of one."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise lenient_error("must be a list of strings")
    return tuple(values)


def read_max_tokens(value: Any) -> int | None:
    """Read a bound on a document's tokens; what other APIs say there is never rejected."""
    bound = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return value if bound else None


def read_content(value: Any, depth: int = 0) -> str | None:
    """Return the text of a string, `{text}`, `{content}` or a list of such; None if it has none."""
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, Mapping):
        inner = value.get("text")
        return read_content(value.get("content") if inner is None else inner, depth + 1)
    if isinstance(value, list):
        parts = [read_content(each, depth + 1) for each in value]
        known = [part for part in parts if part is not None]
        return "\n".join(known) if known else None
    return None


def read_query(value: Any) -> str:
    """Read a query: anything that has a text."""
    found = read_content(value)
    if found is None:
        raise lenient_error("must be a string or an object with a text")
    return clean(found)


def read_list(value: Any) -> list[Any]:
    """Read a list of documents; a lone document is a list of one."""
    if isinstance(value, str | Mapping):
        return [value]
    if not isinstance(value, list):
        raise lenient_error("must be a list of strings or objects")
    if not value:
        raise lenient_error("must hold at least one document", code="no_documents")
    return value


def lenient_error(message: str, code: str = "lenient") -> PydanticCustomError:
    """Return the error of a field: its message follows the field's name."""
    return PydanticCustomError(code, message)


def field_type(read: Callable[[Any], Any], schema: Any) -> Any:
    """Return the annotation of a field that `read` reads and that is documented as `schema`."""
    return PlainValidator(read, json_schema_input_type=schema)


Text = Annotated[str | None, field_type(read_text, str | None)]
Count = Annotated[int | None, field_type(read_count, int | None)]
Flag = Annotated[bool | None, field_type(read_flag, bool | None)]
Names = Annotated[tuple[str, ...], field_type(read_names, list[str] | str)]
MaxTokens = Annotated[int | None, field_type(read_max_tokens, int | None)]
QueryText = Annotated[str, field_type(read_query, str | dict[str, Any])]
Documents = Annotated[list[Any], field_type(read_list, list[str | dict[str, Any]])]
TextList = Annotated[list[Any], field_type(read_list, list[str])]
ObjectList = Annotated[list[Any], field_type(read_list, list[dict[str, Any]])]


def named(*names: str, default: Any = None) -> Any:
    """Return a field that is read from the first of several names that is sent."""
    return Field(default, validation_alias=AliasChoices(*names))


def documents_named(name: str = "documents") -> Any:
    """Return the field of the documents: documented as `name`, read from any of the usual ones."""
    others = (each for each in DOCUMENT_FIELDS if each != name)
    return Field(validation_alias=AliasChoices(name, *others))


class LenientModel(BaseModel):
    """A body whose unknown fields are ignored and whose nulls count as absent."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _prepare_objects(cls, payload: Any) -> Any:
        if not isinstance(payload, Mapping):
            return payload
        return cls.prepare({key: value for key, value in payload.items() if value is not None})

    @classmethod
    def prepare(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Return what is validated of a body without its nulls; a subclass may choose fields."""
        return payload

    @classmethod
    def sent_names(cls, field: str) -> tuple[str, ...]:
        """Return the names under which a field may be sent."""
        alias = cls.model_fields[field].validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or field]
        return tuple(name for name in choices if isinstance(name, str))


class TruncationFields(LenientModel):
    """Whether texts may be cut: TEI and NIM say `truncate`, Voyage says `truncation`.

    Which texts are too long is known only once they are tokenized, so the result is checked.
    """

    truncate: Any = None
    truncation: Any = None

    @property
    def forbidden_by(self) -> str | None:
        """Return the field that forbids cutting texts, None if there is none."""
        values = {"truncate": self.truncate, "truncation": self.truncation}
        return next((name for name, value in values.items() if _is_no(value)), None)

    def check_truncated(
        self, place: str, truncated: Sequence[int], *, query_truncated: bool = False
    ) -> None:
        """Raise InvalidRequest if a text was cut although the caller forbids it.

        Args:
            place: of the list of texts in the body.
            truncated: indices of the texts that were cut.
            query_truncated: whether the query was.
        """
        field = self.forbidden_by
        if field is None or not (query_truncated or truncated):
            return
        param = "query" if query_truncated else f"{place}[{truncated[0]}]"
        raise InvalidRequest(
            f"{param} is too long to be read whole, and {field} forbids cutting it", param=param
        )


def _is_no(value: Any) -> bool:
    return value is False or (isinstance(value, str) and value.lower() in ("false", "none"))


def parse_documents(
    values: Sequence[Any], rank_fields: Sequence[str], max_documents: int, place: str
) -> tuple[Document, ...]:
    """Read the documents of a request.

    Args:
        values: as they were sent.
        rank_fields: fields of an object to rank on.
        max_documents: how many are allowed.
        place: of the list in the body, for messages.

    Raises:
        TooLarge: there are too many.
        InvalidRequest: one is no document; `param` names it.
    """
    check_length(len(values), max_documents, "documents")
    return tuple(_document(value, rank_fields, place, i) for i, value in enumerate(values))


def check_length(length: int, max_documents: int, noun: str) -> None:
    """Raise TooLarge for more documents or texts than a request may have."""
    if length > max_documents:
        raise TooLarge(f"{length} {noun}, at most {max_documents} are allowed", param="documents")


def _document(value: Any, rank_fields: Sequence[str], place: str, index: int) -> Document:
    """Read one document; an object with none of the fields is ranked on all it has."""
    if isinstance(value, str):
        return Document.of(value)
    if not isinstance(value, Mapping) or not value:
        name = f"{place}[{index}]"
        raise InvalidRequest(f"{name} must be a string or an object with a text", param=name)
    if any(value.get(name) is not None for name in rank_fields):
        return Document.of(value, rank_fields)
    if (found := read_content(value)) is not None:
        return Document(value, clean(found))
    return Document.of(value, tuple(value))
