"""Text to token ids, without ever changing a tokenizer's state.

A fast tokenizer is safe to share between threads only while nobody sets its padding or
truncation ("Already borrowed" otherwise). So each model works on a private copy with both
switched off for good, and cuts the ids itself.

A pair is spliced from ids that are computed once: the query's per request, the document's per
text. How a pair is framed ([CLS] q [SEP] d [SEP], <s> q </s></s> d </s>) is read off
the tokenizer by encoding a probe, never assumed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from reranker.telemetry import timed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

_CHARS_PER_TOKEN = 12  # a first guess at how much text fills the window
# A cut text is read this much further, so that its end cannot matter: WordPiece makes one
# unknown token of a word of more than 100 characters, but many of the part before a cut.
_SLACK_TOKENS = 128
_PROBE = ("first", "second")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The content tokens of one text: vocabulary ids, their characters, and whether it was cut."""

    ids: list[int]
    spans: list[tuple[int, int]]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """One token as a caller sees it: its id, its text, and its characters [start, end)."""

    id: int
    text: str
    special: bool
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Special:
    """Special tokens in a row: vocabulary ids, and the token type of each."""

    ids: list[int]
    types: list[int]


@dataclass(frozen=True, slots=True)
class Frame:
    """The special tokens before, between and after two texts, and the token type of each text.

    The frame of one text has nothing between.
    """

    prefix: Special
    infix: Special
    suffix: Special
    first: int
    second: int

    @property
    def size(self) -> int:
        """Return how many tokens of the window the frame takes."""
        return len(self.prefix.ids) + len(self.infix.ids) + len(self.suffix.ids)

    def around(
        self, first: list[int], second: list[int] | None = None
    ) -> tuple[list[int], list[int]]:
        """Return ids and token types of the framed text or pair."""
        other = second or []
        ids = [*self.prefix.ids, *first, *self.infix.ids, *other, *self.suffix.ids]
        types = [
            *self.prefix.types,
            *[self.first] * len(first),
            *self.infix.types,
            *[self.second] * len(other),
            *self.suffix.types,
        ]
        return ids, types


class TextTokenizer:
    """A model's tokenizer, shared by all threads.

    Args:
        tokenizer: the model's fast tokenizer, which is copied.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        copy = type(tokenizer).from_str(tokenizer.to_str())
        copy.no_padding()
        copy.no_truncation()
        self._tokenizer = copy
        self.single = self._frame(pair=False)
        self.pair = self._frame(pair=True)

    def __call__(self, texts: Sequence[str], max_tokens: int) -> list[Tokens]:
        """Tokenize texts, of each at most `max_tokens` content tokens.

        Of a long text no more is read than is needed, so a megabyte costs no more than a page.
        """
        reach = (max_tokens + _SLACK_TOKENS) * _CHARS_PER_TOKEN
        with timed("tokenize"):
            encodings = self._tokenizer.encode_batch(
                [text[:reach] for text in texts], add_special_tokens=False
            )
            return [
                self._cut(text, encoding, max_tokens, reach)
                for text, encoding in zip(texts, encodings, strict=True)
            ]

    @property
    def definition(self) -> str:
        """Return the whole tokenizer as JSON."""
        return str(self._tokenizer.to_str())

    def _cut(self, text: str, encoding: Encoding, max_tokens: int, reach: int) -> Tokens:
        while len(text) > reach and len(encoding.ids) < max_tokens + _SLACK_TOKENS:
            reach *= 4
            encoding = self._tokenizer.encode(text[:reach], add_special_tokens=False)
        truncated = len(encoding.ids) > max_tokens
        return Tokens(encoding.ids[:max_tokens], encoding.offsets[:max_tokens], truncated)

    def pieces(self, text: str, *, special: bool) -> tuple[Piece, ...]:
        """Return all tokens of a text, with those that frame it if `special`."""
        encoded = self._tokenizer.encode(text, add_special_tokens=special)
        parts = zip(
            encoded.ids,
            encoded.tokens,
            encoded.special_tokens_mask,
            encoded.offsets,
            strict=True,
        )
        return tuple(
            Piece(each, token if framing else text[start:end], bool(framing), (start, end))
            for each, token, framing, (start, end) in parts
        )

    def text_of(self, ids: Sequence[int]) -> str | None:
        """Decode ids without special tokens; None if one is not in the vocabulary."""
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if any(not 0 <= each < size for each in ids):
            return None
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    @cached_property
    def punctuation(self) -> NDArray[np.bool_]:
        """Return, for each vocabulary id, whether the token is punctuation alone."""
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        pieces = (self._tokenizer.id_to_token(i) or "" for i in range(size))
        bare = (piece.removeprefix("##").strip("\u2581\u0120 ") for piece in pieces)
        return np.array([all(unicodedata.category(c)[0] == "P" for c in piece) for piece in bare])

    def _frame(self, *, pair: bool) -> Frame:
        probe = self._tokenizer.encode(_PROBE[0], _PROBE[1] if pair else None)
        sides = probe.sequence_ids
        start = sides.index(0)
        end = len(sides) - sides[::-1].index(0)
        other, last = (sides.index(1), len(sides) - sides[::-1].index(1)) if pair else (end, end)
        prefix, infix, suffix = (
            Special(probe.ids[a:b], probe.type_ids[a:b])
            for a, b in ((0, start), (end, other), (last, len(sides)))
        )
        return Frame(prefix, infix, suffix, probe.type_ids[start], probe.type_ids[last - 1])


def pair_shares(query_tokens: int, window: int) -> tuple[int, int]:
    """Split a window between query and document.

    The query keeps all it needs as long as half of the window is left for the document; a
    longer query is cut there, so that a query that would fill the window still leaves the
    document its fixed share.

    Returns:
        The most tokens of the query, and of the document.
    """
    query = min(query_tokens, window // 2)
    return query, window - query
