"""The cross-encoder: query and document read together, one float32 logit a pair.

(Nogueira and Cho, "Passage Re-ranking with BERT", 2019.) The document is cut to fit, never
the meaning of the query; what was cut is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from reranker.backends.calibration_texts import QUESTIONS, batches, passages
from reranker.backends.variants import ExecutionVariants
from reranker.cache.lru import Cache, key
from reranker.cache.records import CachedScore
from reranker.cache.tier import SharedTier, Store, fingerprint
from reranker.errors import InferenceError
from reranker.families.base import Scored
from reranker.scheduling.out_of_memory import bytes_of
from reranker.scheduling.prefetch import map_with_prefetch, prefetch_size
from reranker.scheduling.scheduler import BatchScheduler
from reranker.scheduling.workers import intra_op_threads
from reranker.tokenization.collate import collate, window_of
from reranker.tokenization.tokenizer import TextTokenizer, Tokens, pair_shares
from reranker.types import RequestContext, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from reranker.backends.device import Hardware
    from reranker.families.split_cross_encoder import SplitBert

_KNOWN_BYTES = 120


@dataclass(frozen=True, slots=True)
class _Pair:
    """One framed pair as the network reads it."""

    ids: list[int]
    types: list[int]


class PairCrossEncoder:
    """A sequence-classification model with one output behind a runner.

    Args:
        name: catalogue id.
        model: the network, one label.
        tokenizer: its tokenizer.
        digest: of the weights, part of every cache key.
        hardware: device, number format and batch budget.
        declared_window: tokens the model says it can read, if it does.
        cache_bytes: the most memory for scores; 0 keeps none.
    """

    def __init__(
        self,
        name: str,
        model: PreTrainedModel | SplitBert,
        tokenizer: PreTrainedTokenizerBase,
        digest: str,
        hardware: Hardware,
        declared_window: int | None = None,
        cache_bytes: int = 0,
    ) -> None:
        self.name = name
        self.digest = digest
        self.window = window_of(model.config, declared_window)
        self.tokenizer = TextTokenizer(tokenizer.backend_tokenizer)
        self.cache: Cache[CachedScore] = Cache(cache_bytes, lambda _: _KNOWN_BYTES)
        network: Any = model  # its `to` is typed for instances of another kind
        self._model = network.to(device=hardware.device, dtype=hardware.torch_dtype).eval()
        self.weight_bytes = bytes_of(network)
        self.ways = ExecutionVariants(name, network, hardware.attention, hardware.weights)
        self._inputs = tokenizer.model_input_names
        self._pad = int(tokenizer.pad_token_id or 0)
        self.runner = BatchScheduler(
            name,
            self._forward,
            lambda pair: len(pair.ids),
            hardware.token_budget,
            intra_op_threads(hardware),
        )

    def score(
        self, query: str, documents: Sequence[str], *, max_tokens: int, context: RequestContext
    ) -> Scored:
        """Score documents for a query; see `CrossEncoder.score`."""
        window = self.window - self.tokenizer.pair.size
        whole = self.tokenizer([query], window)[0]
        query_room, document_room = pair_shares(len(whole.ids), window)
        query_ids = whole.ids[:query_room]
        limit = min(document_room, max_tokens)
        distinct = list(dict.fromkeys(documents))
        known, cached = self.cache.complete(
            [key(self.digest, "cross", limit, query, text) for text in distinct],
            lambda missing: self._read(query_ids, [distinct[i] for i in missing], limit, context),
        )
        place = {text: i for i, text in enumerate(distinct)}
        order = [place[text] for text in documents]
        return Scored(
            logits=np.array([known[i].logit for i in order], dtype=np.float32),
            truncated=np.array([known[i].truncated for i in order], dtype=np.bool_),
            usage=Usage(len(query_ids), sum(one.count for one in known), cached),
            query_truncated=whole.truncated or len(query_ids) < len(whole.ids),
        )

    def warm(self) -> None:
        """Run once, so that the first request does not pay for first-time set-up."""
        self.score("warm", ["up"], max_tokens=8, context=RequestContext())

    def probe(self, count: int, length: int) -> Callable[[], NDArray[np.float32]]:
        """Return what runs that many pairs of that many tokens; see `Tunable`."""
        pairs = self._trial(passages(count), length)
        return lambda: np.array(self._forward(pairs), dtype=np.float32)

    def samples(self) -> list[dict[str, torch.Tensor]]:
        """Return batches of real text as the network reads them, to export it with."""
        trials = [self._trial(texts, length) for texts, length in batches(self.window)]
        return [self._collate(pairs) for pairs in trials]

    def _trial(self, texts: Sequence[str], length: int) -> list[_Pair]:
        room = min(length, self.window) - self.tokenizer.pair.size
        queries = self.tokenizer(QUESTIONS, room // 2)
        pairs = []
        for number, cut in enumerate(self.tokenizer(texts, room)):
            query = queries[number % len(queries)].ids
            framed = self.tokenizer.pair.around(query, cut.ids[: room - len(query)])
            pairs.append(_Pair(*framed))
        return pairs

    def share(self, store: Store) -> None:
        """Keep scores in a store, too, where other processes find them."""
        namespace = fingerprint([self._model], self.tokenizer.definition, self._inputs)
        self.cache.shared = SharedTier(
            store, lambda: f"{namespace}:{self.ways.backend}", CachedScore.shelves, CachedScore.read
        )

    def close(self) -> None:
        """Stop the workers."""
        self.runner.close()

    def _read(
        self, query_ids: list[int], documents: list[str], limit: int, context: RequestContext
    ) -> list[CachedScore]:
        """Tokenise documents and run the pairs through the network."""

        def prepare(texts: Sequence[str]) -> tuple[list[Tokens], list[_Pair]]:
            cuts = self.tokenizer(texts, limit)
            frame = self.tokenizer.pair
            return cuts, [_Pair(*frame.around(query_ids, cut.ids)) for cut in cuts]

        def run(ready: tuple[list[Tokens], list[_Pair]]) -> list[CachedScore]:
            cuts, pairs = ready
            return [
                CachedScore(logit, len(cut.ids), cut.truncated)
                for logit, cut in zip(self.runner(pairs, context), cuts, strict=True)
            ]

        return map_with_prefetch(documents, prepare, run, prefetch_size(self.runner.token_budget))

    @torch.inference_mode()
    def _forward(self, pairs: list[_Pair]) -> list[float]:
        """Run one batch; called on workers only."""
        device = self._model.device
        features = {name: part.to(device) for name, part in self._collate(pairs).items()}
        logits = self._model(**features).logits.float().reshape(len(pairs), -1)[:, 0]
        if not torch.isfinite(logits).all():
            raise InferenceError(f"model {self.name!r} returned a score that is not finite")
        return [float(logit) for logit in logits.cpu()]

    def _collate(self, pairs: list[_Pair]) -> dict[str, torch.Tensor]:
        return collate([(pair.ids, pair.types) for pair in pairs], self._pad, self._inputs)
