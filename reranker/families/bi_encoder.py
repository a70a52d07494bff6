"""The bi-encoder: texts to pooled vectors and, on request, token vectors, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from reranker.backends.calibration_texts import batches, passages
from reranker.backends.variants import ExecutionVariants
from reranker.cache.lru import Cache, key
from reranker.cache.records import POOLED, TOKENS, CachedEmbedding
from reranker.cache.tier import SharedTier, Store, fingerprint
from reranker.families.base import Encoded, TokenVectors
from reranker.families.bi_encoder_network import FIXED_POINT, BiNetwork, Framed, Heads, Output
from reranker.scheduling.prefetch import map_with_prefetch, prefetch_size
from reranker.scheduling.scheduler import BatchScheduler
from reranker.scheduling.workers import intra_op_threads
from reranker.tokenization.tokenizer import TextTokenizer, Tokens
from reranker.types import RequestContext, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from reranker.backends.device import Hardware

MAX_TOKEN_VECTORS = 256  # of one text; later tokens still shape the pooled vector


class SentenceBiEncoder:
    """A sentence-transformers model behind a runner.

    Args:
        name: catalogue id.
        model: the loaded model.
        digest: of the weights, part of every cache key.
        hardware: device, number format and batch budget.
        heads: trained heads beside the model.
        cache_bytes: the most memory for results; 0 keeps none.
    """

    def __init__(
        self,
        name: str,
        model: SentenceTransformer,
        digest: str,
        hardware: Hardware,
        heads: Heads | None = None,
        cache_bytes: int = 0,
    ) -> None:
        self.name = name
        self.digest = digest
        self.network = BiNetwork(name, model, hardware, heads or Heads())
        self.window = self.network.window
        self.ways = ExecutionVariants(
            name, self.network.inner, hardware.attention, hardware.weights
        )
        self.tokenizer = TextTokenizer(model.tokenizer.backend_tokenizer)
        self.prompts = {kind: model.prompts.get(kind) or "" for kind in ("query", "document")}
        self.cache: Cache[CachedEmbedding] = Cache(cache_bytes, lambda known: known.nbytes)
        self._unknown = model.tokenizer.unk_token_id
        self.runner = BatchScheduler(
            name,
            self.network,
            lambda item: len(item.ids),
            hardware.token_budget,
            intra_op_threads(hardware),
        )

    @property
    def dimension(self) -> int:
        """Return the length of a pooled vector."""
        return self.network.dimension

    @property
    def weight_bytes(self) -> int:
        """Return the memory of the weights."""
        return self.network.weight_bytes

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "document"],
        max_tokens: int | None,
        tokens: bool,
        context: RequestContext,
    ) -> Encoded:
        """Encode texts; see `BiEncoder.encode`."""
        distinct = list(dict.fromkeys(texts))
        limit = self._limit(kind, max_tokens)
        known, cached = self.cache.complete(
            [key(self.digest, "bi", kind, limit, text) for text in distinct],
            lambda missing: self._read(
                [distinct[i] for i in missing], kind, limit, tokens, context
            ),
            usable=lambda one: one.output.tokens is not None or not tokens,
            shelf=TOKENS if tokens else POOLED,
        )
        place = {text: i for i, text in enumerate(distinct)}
        order = [place[text] for text in texts]
        made = [self._token_vectors(one) for one in known] if tokens else []
        return Encoded(
            vectors=np.stack([known[i].output.vector for i in order]),
            tokens=tuple(made[i] for i in order) if tokens else None,
            truncated=np.array([known[i].truncated for i in order], dtype=np.bool_),
            distinct=np.array(order, dtype=np.int64),
            usage=Usage(**{f"{kind}_tokens": sum(one.count for one in known)}, cached=cached),
        )

    def warm(self) -> None:
        """Run once, so that the first request does not pay for first-time set-up."""
        self.encode(
            ["warm-up"], kind="query", max_tokens=None, tokens=True, context=RequestContext()
        )

    def probe(self, count: int, length: int) -> Callable[[], NDArray[np.float32]]:
        """Return what runs that many texts of that many tokens; see `Tunable`."""
        items = self._trial(passages(count), length)
        return lambda: np.stack([output.vector for output in self.network(items)])

    def samples(self) -> list[dict[str, torch.Tensor]]:
        """Return batches of real text as the network reads them, to export it with."""
        trials = [self._trial(texts, length) for texts, length in batches(self.window)]
        return [self.network.collate(items) for items in trials]

    def _trial(self, texts: Sequence[str], length: int) -> list[Framed]:
        room = min(length, self.window) - self.tokenizer.single.size
        return [self._framed(cut, "document", None) for cut in self.tokenizer(texts, room)]

    def share(self, store: Store) -> None:
        """Keep vectors in a store, too, where other processes find them."""
        parts = (self.tokenizer.definition, self.prompts, MAX_TOKEN_VECTORS)
        namespace = fingerprint(self.network.networks, *parts)
        self.cache.shared = SharedTier(
            store,
            lambda: f"{namespace}:{self.ways.backend}",
            CachedEmbedding.shelves,
            CachedEmbedding.read,
        )

    def close(self) -> None:
        """Stop the workers."""
        self.runner.close()

    def _limit(self, kind: str, max_tokens: int | None) -> int:
        """Return the most tokens to read of a text with its prompt."""
        window = self.window - self.tokenizer.single.size
        return window if max_tokens is None else min(window, max_tokens + self._prompt_sizes[kind])

    @cached_property
    def _prompt_sizes(self) -> dict[str, int]:
        tokens = self.tokenizer(list(self.prompts.values()), self.window)
        return {kind: len(cut.ids) for kind, cut in zip(self.prompts, tokens, strict=True)}

    def _read(
        self, texts: list[str], kind: str, limit: int, tokens: bool, context: RequestContext
    ) -> list[CachedEmbedding]:
        """Tokenise texts and run them through the network."""
        prompt = self.prompts[kind]

        def prepare(part: Sequence[str]) -> list[tuple[Tokens, list[int], Framed]]:
            cuts = self.tokenizer([prompt + text for text in part], limit)
            contents = [self._content(cut, len(prompt)) if tokens else [] for cut in cuts]
            return [
                (cut, content, self._framed(cut, kind, content if tokens else None))
                for cut, content in zip(cuts, contents, strict=True)
            ]

        def run(ready: list[tuple[Tokens, list[int], Framed]]) -> list[CachedEmbedding]:
            outputs = self.runner([item for _, _, item in ready], context)
            return [
                _known(output, cut, content, len(prompt))
                for output, (cut, content, _) in zip(outputs, ready, strict=True)
            ]

        return map_with_prefetch(texts, prepare, run, prefetch_size(self.runner.token_budget))

    def _framed(self, cut: Tokens, kind: str, content: list[int] | None) -> Framed:
        """Put the special tokens around a text; `content` is where its wanted tokens stand."""
        start = len(self.tokenizer.single.prefix.ids)
        return Framed(
            *self.tokenizer.single.around(cut.ids),
            positions=None if content is None else [start + i for i in content],
            prompt_length=start + self._prompt_sizes[kind] if self.prompts[kind] else 0,
        )

    def _content(self, cut: Tokens, prompt_chars: int) -> list[int]:
        """Return the positions of tokens that carry meaning: no prompt, no bare punctuation."""
        punctuation = self.tokenizer.punctuation
        return [
            i
            for i, (token, (_, end)) in enumerate(zip(cut.ids, cut.spans, strict=True))
            if end > prompt_chars and not punctuation[token]
        ][:MAX_TOKEN_VECTORS]

    def _token_vectors(self, known: CachedEmbedding) -> TokenVectors:
        output, ids = known.output, known.ids.astype(np.int64)
        assert output.tokens is not None
        return TokenVectors(
            vectors=output.tokens * np.float32(1 / FIXED_POINT),
            ids=ids,
            spans=known.spans.copy(),
            # Two unknown tokens are not the same word, so they count for nothing.
            weights=None if output.weights is None else output.weights * (ids != self._unknown),
            memo=known.memo,
        )


def _known(output: Output, cut: Tokens, content: list[int], prompt_chars: int) -> CachedEmbedding:
    spans = np.array([cut.spans[i] for i in content], dtype=np.int32).reshape(-1, 2)
    return CachedEmbedding(
        output=output,
        count=len(cut.ids),
        truncated=cut.truncated,
        ids=np.array([cut.ids[i] for i in content], dtype=np.int32),
        # The first token may take in the space that ends the prompt.
        spans=np.maximum(spans - prompt_chars, 0),
    )
