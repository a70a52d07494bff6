"""Queries for fitting and reporting, each with its frozen pool."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """Queries drawn from one collection.

    Attributes:
        name: the collection's name.
        queries: query id to text.
        pools: query id to the ids of the documents to rank.
        texts: document id to text, of all documents in a pool.
        grades: query id to document id to grade, all that are judged.
    """

    name: str
    queries: dict[str, str]
    pools: dict[str, tuple[str, ...]]
    texts: dict[str, str]
    grades: dict[str, dict[str, int]]
