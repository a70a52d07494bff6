"""Tokenized passages and queries, held flat so that they can be cached and memory-mapped."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")

Ints = NDArray[np.int32]


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the character spans of a text's sentences, found by their punctuation."""
    starts = [0, *(m.end() for m in _SENTENCE_END.finditer(text))]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The tokens of many texts, without special tokens.

    Attributes:
        offsets: (texts + 1,): where each text's tokens begin in the flat arrays.
        tokens: (total,): vocabulary ids.
        sentence: (total,): the index, within its text, of the sentence a token belongs to.
    """

    offsets: NDArray[np.int64]
    tokens: Ints
    sentence: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def span(self, index: int) -> slice:
        """Return where one text's tokens lie in the flat arrays."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))


def tokenize(
    tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int
) -> TokenTable:
    """Tokenize texts, cutting each after ``max_tokens``."""
    rows: list[list[int]] = []
    marks: list[NDArray[np.int32]] = []
    for begin in range(0, len(texts), 1024):
        batch = list(texts[begin : begin + 1024])
        encoded = tokenizer(
            batch,
            add_special_tokens=False,
            truncation=True,
            max_length=max_tokens,
            return_offsets_mapping=True,
        )
        for text, ids, spans in zip(
            batch, encoded["input_ids"], encoded["offset_mapping"], strict=True
        ):
            ends = np.array([end for _, end in sentences(text)])
            rows.append(ids)
            starts = np.array([s for s, _ in spans], dtype=np.int64)
            marks.append(np.searchsorted(ends, starts, side="right").astype(np.int32))
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    flat = np.concatenate([np.array(r, dtype=np.int32) for r in rows])
    return TokenTable(offsets, flat, np.concatenate(marks))


def joined(tables: Sequence[TokenTable]) -> TokenTable:
    """Return the texts of several tables as one."""
    lengths = np.concatenate([np.diff(t.offsets) for t in tables])
    return TokenTable(
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([t.tokens for t in tables]),
        np.concatenate([t.sentence for t in tables]),
    )


def inverse_document_frequency(table: TokenTable, vocabulary: int) -> NDArray[np.float32]:
    """Return log(1 + (n - df + 0.5) / (df + 0.5)) per vocabulary id, (vocabulary,).

    The form of BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) with
    the added 1 that keeps it positive.
    """
    df = np.zeros(vocabulary, dtype=np.int64)
    for index in range(len(table)):
        df[np.unique(table.tokens[table.span(index)])] += 1
    return np.log1p((len(table) - df + 0.5) / (df + 0.5)).astype(np.float32)
