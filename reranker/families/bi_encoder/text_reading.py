"""Texts as a bi-encoder reads them: prompt, special tokens, and which tokens have vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reranker.families.records import POOLED, TOKENS, EmbeddingRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.tokenization.tokenizer import TextTokenizer, Tokens

MAX_TOKEN_VECTORS = 256  # of one text; later tokens still shape the pooled vector


@dataclass(frozen=True, slots=True)
class Prompt:
    """What stands before each text of a kind, and how many tokens it takes."""

    text: str
    size: int

    @classmethod
    def of(cls, text: str, tokenizer: TextTokenizer, window: int) -> Prompt:
        """Return a prompt with its size in tokens."""
        return cls(text, len(tokenizer([text], window)[0].ids) if text else 0)


@dataclass(frozen=True, slots=True)
class TextItem:
    """One text as the network reads it.

    Attributes:
        ids: vocabulary ids, special tokens included.
        types: the token type of each.
        prompt_length: how many of the ids belong to the prompt.
        count: tokens of the text and its prompt that are read.
        truncated: whether the text was cut.
        positions: within `ids`, of the tokens whose vectors are needed; None needs none.
        token_ids: (t,) int32 ids of those tokens.
        spans: (t, 2) int32 characters of those tokens in the text.
    """

    ids: list[int]
    types: list[int]
    prompt_length: int
    count: int
    truncated: bool
    positions: list[int] | None = None
    token_ids: NDArray[np.int32] | None = None
    spans: NDArray[np.int32] | None = None

    @property
    def length(self) -> int:
        """Tokens, special ones included."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class TextReading:
    """How the texts of one request are read; see `Reading`.

    Args:
        tokenizer: of the model.
        text_kind: "query" or "document".
        prompt: of that kind.
        limit: the most tokens of a text and its prompt, special ones left out.
        tokens: whether token vectors are needed.
    """

    tokenizer: TextTokenizer
    text_kind: str
    prompt: Prompt
    limit: int
    tokens: bool
    query_tokens: int = 0
    query_truncated: bool = False

    @property
    def scope(self) -> tuple[str | int, ...]:
        """The role, the prompt and the cut."""
        return ("bi-encoder", self.text_kind, self.limit)

    @property
    def kind(self) -> str:
        """The kind of record that is needed."""
        return TOKENS if self.tokens else POOLED

    def accepts(self, record: EmbeddingRecord) -> bool:
        """Whether a record has the token vectors that are needed."""
        return record.tokens is not None or not self.tokens

    def prepare(self, texts: Sequence[str]) -> list[TextItem]:
        """Tokenize texts."""
        prompt = self.prompt.text
        return [self._item(cut) for cut in self.tokenizer([prompt + t for t in texts], self.limit)]

    def _item(self, cut: Tokens) -> TextItem:
        """Put the special tokens around a text."""
        start = len(self.tokenizer.single.prefix.ids)
        ids, types = self.tokenizer.single.around(cut.ids)
        prompt_length = start + self.prompt.size if self.prompt.text else 0
        if not self.tokens:
            return TextItem(ids, types, prompt_length, len(cut.ids), cut.truncated)
        content = self._content(cut)
        spans = np.array([cut.spans[i] for i in content], dtype=np.int32).reshape(-1, 2)
        return TextItem(
            ids,
            types,
            prompt_length,
            len(cut.ids),
            cut.truncated,
            positions=[start + i for i in content],
            token_ids=np.array([cut.ids[i] for i in content], dtype=np.int32),
            # The first token may take in the space that ends the prompt.
            spans=np.maximum(spans - len(self.prompt.text), 0),
        )

    def _content(self, cut: Tokens) -> list[int]:
        """Return the positions of tokens that carry meaning: no prompt, no bare punctuation."""
        punctuation, start = self.tokenizer.punctuation, len(self.prompt.text)
        return [
            i
            for i, (token, (_, end)) in enumerate(zip(cut.ids, cut.spans, strict=True))
            if end > start and not punctuation[token]
        ][:MAX_TOKEN_VECTORS]
