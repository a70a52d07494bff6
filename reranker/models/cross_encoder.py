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

from reranker.errors import InferenceError
from reranker.models.cache import Cache, key
from reranker.models.inputs import collate, window_of
from reranker.models.roles import Scored
from reranker.models.runner import Runner
from reranker.models.tokenize import TextTokenizer, pair_shares
from reranker.types import Call

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from reranker.models.hardware import Hardware

_FLOAT_BYTES = 32


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
        model: PreTrainedModel,
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
        self.cache: Cache[float] = Cache(cache_bytes, lambda _: _FLOAT_BYTES)
        network: Any = model  # its `to` is typed for instances of another kind
        self._model = network.to(device=hardware.device, dtype=hardware.torch_dtype).eval()
        self._inputs = tokenizer.model_input_names
        self._pad = int(tokenizer.pad_token_id or 0)
        self.runner = Runner(name, self._forward, lambda pair: len(pair.ids), hardware.token_budget)

    def score(self, query: str, documents: Sequence[str], *, max_tokens: int, call: Call) -> Scored:
        """Score documents for a query; see `CrossEncoder.score`."""
        window = self.window - self.tokenizer.pair.size
        whole = self.tokenizer([query], window)[0]
        query_room, document_room = pair_shares(len(whole.ids), window)
        query_ids = whole.ids[:query_room]
        limit = min(document_room, max_tokens)
        distinct = list(dict.fromkeys(documents))
        cut = self.tokenizer(distinct, limit)
        keys = [
            self._key(query, query_room, text, len(part.ids))
            for text, part in zip(distinct, cut, strict=True)
        ]
        logits = [self.cache.get(each) if self.cache.max_bytes else None for each in keys]
        missing = [i for i, logit in enumerate(logits) if logit is None]
        pairs = [_Pair(*self.tokenizer.pair.around(query_ids, cut[i].ids)) for i in missing]
        for i, logit in zip(missing, self.runner(pairs, call), strict=True):
            logits[i] = logit
            self.cache.put(keys[i], logit)
        place = {text: i for i, text in enumerate(distinct)}
        order = [place[text] for text in documents]
        return Scored(
            logits=np.array([logits[i] for i in order], dtype=np.float32),
            query_tokens=len(query_ids),
            counts=np.array([len(cut[i].ids) for i in order], dtype=np.int64),
            truncated=np.array([cut[i].truncated for i in order], dtype=np.bool_),
            query_truncated=whole.truncated or len(query_ids) < len(whole.ids),
            cached=len(distinct) - len(missing),
        )

    @property
    def weight_bytes(self) -> int:
        """Return the memory of the weights."""
        return sum(part.numel() * part.element_size() for part in self._model.parameters())

    def warm(self) -> None:
        """Run once, so that the first request does not pay for first-time set-up."""
        self.score("warm", ["up"], max_tokens=8, call=Call())

    def close(self) -> None:
        """Stop the worker."""
        self.runner.close()

    def _key(self, query: str, query_room: int, text: str, read: int) -> bytes:
        if not self.cache.max_bytes:
            return b""
        return key(self.digest, "cross", query_room, query, read, text)

    @torch.inference_mode()
    def _forward(self, pairs: list[_Pair]) -> list[float]:
        """Run one batch; called on the worker only."""
        features = collate([(pair.ids, pair.types) for pair in pairs], self._pad, self._inputs)
        features = {name: part.to(self._model.device) for name, part in features.items()}
        logits = self._model(**features).logits.float().reshape(len(pairs), -1)[:, 0]
        if not torch.isfinite(logits).all():
            raise InferenceError(f"model {self.name!r} returned a score that is not finite")
        return [float(logit) for logit in logits.cpu()]
