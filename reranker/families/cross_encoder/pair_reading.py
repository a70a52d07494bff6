"""Pairs of query and document as a cross-encoder reads them.

The document is cut to fit, never the meaning of the query; what was cut is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reranker.families.records import ScoreRecord
from reranker.tokenization.tokenizer import pair_shares

if TYPE_CHECKING:
    from reranker.families.base import ScoreOptions
    from reranker.tokenization.tokenizer import TextTokenizer


@dataclass(frozen=True, slots=True)
class PairItem:
    """One framed pair as the network reads it.

    Attributes:
        ids: vocabulary ids, special tokens included.
        types: the token type of each.
        count: tokens of the document that are read.
        truncated: whether the document was cut.
    """

    ids: list[int]
    types: list[int]
    count: int
    truncated: bool

    @property
    def length(self) -> int:
        """Tokens of both texts, special ones included."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class PairReading:
    """How the documents of one query are read; see `Reading`.

    Attributes:
        tokenizer: of the model.
        query: the whole query.
        query_ids: what is read of it.
        query_truncated: whether that is less than all.
        limit: the most tokens of a document.
    """

    tokenizer: TextTokenizer
    query: str
    query_ids: list[int]
    query_truncated: bool
    limit: int
    kind: str = ""

    @classmethod
    def of(cls, options: ScoreOptions, tokenizer: TextTokenizer, window: int) -> PairReading:
        """Tokenize the query and share the window between it and a document.

        Args:
            options: the query, and the most tokens of a document.
            tokenizer: of the model.
            window: tokens of a pair, special ones included.
        """
        room = window - tokenizer.pair.size
        whole = tokenizer([options.query], room)[0]
        query_room, document_room = pair_shares(len(whole.ids), room)
        ids = whole.ids[:query_room]
        cut = whole.truncated or len(ids) < len(whole.ids)
        return cls(tokenizer, options.query, ids, cut, min(document_room, options.max_tokens))

    @property
    def query_tokens(self) -> int:
        """How many tokens of the query are read."""
        return len(self.query_ids)

    @property
    def scope(self) -> tuple[str | int, ...]:
        """The role, the cut and the query."""
        return ("cross-encoder", self.limit, self.query)

    def accepts(self, _: ScoreRecord) -> bool:
        """Every record has all that is needed."""
        return True

    def prepare(self, texts: Sequence[str]) -> list[PairItem]:
        """Tokenize documents and put each into a pair with the query."""
        around = self.tokenizer.pair.around
        return [
            PairItem(*around(self.query_ids, cut.ids), len(cut.ids), cut.truncated)
            for cut in self.tokenizer(texts, self.limit)
        ]
