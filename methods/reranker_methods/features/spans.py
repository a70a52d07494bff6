"""Spans: the parts of a document that best match the query's tokens, to explain a score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker import Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker import TokenVectors

TOP = 3
GAP = 1  # characters between two tokens that still count as adjacent: a space or a hyphen


def best_spans(
    query: TokenVectors, weights: NDArray[np.floating], document: TokenVectors, top: int = TOP
) -> tuple[Span, ...]:
    """Return the document's best-matching character spans, best first.

    Every query token picks its nearest document token (the alignment that attention tends
    to as tau goes to 0). Picked tokens that touch or are a space apart are merged, a
    word split into pieces is completed. A span's rank is the weight times the cosine that its
    picks collect; its score is the mean cosine of those picks.

    Args:
        query: the query's m tokens.
        weights: (m,) weights of the query's tokens.
        document: the document's t tokens.
        top: the most spans returned.
    """
    if not len(document.ids) or not len(query.ids) or not weights.sum() > 0:
        return ()
    cosines = query.vectors @ document.vectors.T
    picks = cosines.argmax(axis=1)
    weight, credit = np.zeros(len(document.ids)), np.zeros(len(document.ids))
    np.add.at(weight, picks, weights)
    np.add.at(credit, picks, weights * cosines.max(axis=1))
    spans = []
    for first, last in _runs(_whole_words(weight > 0, document.spans), document.spans):
        inside = slice(first, last + 1)
        score = credit[inside].sum() / weight[inside].sum()
        start, end = int(document.spans[first, 0]), int(document.spans[last, 1])
        spans.append((float(credit[inside].sum()), Span(start, end, float(score))))
    spans.sort(key=lambda item: (-item[0], item[1].start))
    return tuple(span for _, span in spans[:top])


def _whole_words(chosen: NDArray[np.bool_], spans: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Choose every piece of a word of which one piece is chosen: pieces touch, words do not."""
    word = np.concatenate([[0], np.cumsum(spans[1:, 0] > spans[:-1, 1])])
    return np.isin(word, word[chosen])


def _runs(chosen: NDArray[np.bool_], spans: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Return (first, last) of each run of chosen tokens that are at most `GAP` apart."""
    at = np.flatnonzero(chosen)
    apart = (np.diff(at) > 1) | (spans[at[1:], 0] - spans[at[:-1], 1] > GAP)
    breaks = np.flatnonzero(apart)
    firsts, lasts = at[np.r_[0, breaks + 1]], at[np.r_[breaks, len(at) - 1]]
    return [(int(a), int(b)) for a, b in zip(firsts, lasts, strict=True)]
