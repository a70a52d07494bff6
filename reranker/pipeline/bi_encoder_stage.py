"""Stage 1: pooled bi-encoder vectors, and the cosine of query and document by a faiss search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reranker.pipeline.pipeline import StageOutput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.families.roles import BiEncoder, Encoded, TokenVectors
    from reranker.types import RerankRequest

FIRST_PASS_SHARE = 2
"""Token vectors are kept from the first pass for up to this many times `stage1_top_k` texts.

A text's token vectors take a hundred times the memory of its pooled one. For longer lists it is
better to encode the few texts that stage 1 keeps again (or to find them in the cache).
"""


def distinct(
    request: RerankRequest, indices: NDArray[np.int64]
) -> tuple[list[str], NDArray[np.int64]]:
    """Return the distinct texts among the documents, and for each index its text's position."""
    position: dict[str, int] = {}
    texts = (request.documents[i].text for i in indices)
    positions = [position.setdefault(text, len(position)) for text in texts]
    return list(position), np.array(positions, dtype=np.int64)


def cut_query(name: str) -> str:
    """Return the warning that a model read only the beginning of the query."""
    return f"the query is longer than {name} can read; only its beginning was used"


def search(query: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (n,) inner products of a (d,) query with (n, d) vectors, by exact search.

    A vector that is not finite is not found: its product comes back as NaN, which the
    pipeline reports.
    """
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    values, found = index.search(np.ascontiguousarray(query[None], dtype=np.float32), len(vectors))
    products = np.full(len(vectors), np.nan, dtype=np.float32)
    hit = found[0] >= 0
    products[found[0][hit]] = values[0][hit]
    return products


class BiEncoderStage:
    """Scores candidates by cosine; keeps what it encoded for the stages after it.

    Args:
        request: the request.
        model: the bi-encoder.
        tokens: whether a later stage will ask for token vectors.
    """

    def __init__(self, request: RerankRequest, model: BiEncoder, *, tokens: bool = False) -> None:
        self.request = request
        self.model = model
        self._tokens = tokens
        self._query: Encoded | None = None
        self._cosines: dict[str, np.float32] = {}
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._token_vectors: dict[str, TokenVectors] = {}

    def __call__(self, indices: NDArray[np.int64]) -> StageOutput:
        """Return the cosines of the documents at the (k,) request indices."""
        texts, position = distinct(self.request, indices)
        query = self.query
        documents = self._encode(
            texts,
            tokens=self._tokens and len(texts) <= FIRST_PASS_SHARE * self.request.stage1_top_k,
        )
        cosines = search(query.vectors[0], documents.vectors)
        self._cosines.update(zip(texts, cosines, strict=True))
        self._vectors.update(zip(texts, documents.vectors, strict=True))
        return StageOutput(
            values=cosines[position],
            truncated=documents.truncated[position],
            query_truncated=bool(query.truncated[0]),
            usage=query.usage + documents.usage,
            warnings=(cut_query(self.model.name),) if query.truncated[0] else (),
        )

    @property
    def query(self) -> Encoded:
        """The encoded query."""
        if self._query is None:
            self._query = self.model.encode(
                [self.request.query],
                kind="query",
                max_tokens=None,
                tokens=self._tokens,
                context=self.request.context,
            )
        return self._query

    def cosines_of(self, texts: list[str]) -> NDArray[np.float64]:
        """Return the (n,) cosines of texts that this stage scored."""
        return np.array([self._cosines[text] for text in texts], dtype=np.float64)

    def vectors_of(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the (n, d) pooled vectors of texts that this stage scored."""
        return np.stack([self._vectors[text] for text in texts])

    def tokens_of(self, texts: list[str]) -> tuple[TokenVectors, list[TokenVectors]]:
        """Return the token vectors of the query and of texts that this stage scored."""
        missing = [text for text in texts if text not in self._token_vectors]
        if missing:
            self._encode(missing, tokens=True)
        if self.query.tokens is None:
            raise ValueError("the stage was built without token vectors")
        return self.query.tokens[0], [self._token_vectors[text] for text in texts]

    def _encode(self, texts: list[str], *, tokens: bool) -> Encoded:
        encoded = self.model.encode(
            texts,
            kind="document",
            max_tokens=self.request.max_tokens_per_doc,
            tokens=tokens,
            context=self.request.context,
        )
        if encoded.tokens is not None:
            self._token_vectors.update(zip(texts, encoded.tokens, strict=True))
        return encoded
