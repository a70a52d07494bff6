"""The bi-encoder: texts to pooled vectors and, on request, token vectors, in one pass.

The network is loaded by sentence-transformers, whose modules (pooling, projection,
normalisation) come from the model's own `modules.json`. Where a model ships trained heads
beside it (bge-m3's `colbert_linear.pt` and `sparse_linear.pt`; Chen et al., "M3-Embedding",
Findings of ACL 2024), token vectors and lexical weights come from those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from reranker.errors import InferenceError
from reranker.models.cache import Cache, key
from reranker.models.inputs import collate, window_of
from reranker.models.roles import Encoded, TokenVectors
from reranker.models.runner import Runner
from reranker.models.tokenize import TextTokenizer, Tokens
from reranker.types import Call

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from reranker.models.hardware import Hardware

MAX_TOKEN_VECTORS = 256  # of one text; later tokens still shape the pooled vector
_FIXED_POINT = 32767  # the largest int16


@dataclass(frozen=True, slots=True)
class Heads:
    """Linear layers over the last hidden states: to token vectors, and to lexical weights."""

    multi_vector: torch.nn.Linear | None = None
    sparse: torch.nn.Linear | None = None


@dataclass(frozen=True, slots=True)
class _Item:
    """One framed text as the network reads it."""

    ids: list[int]
    types: list[int]
    positions: list[int] | None  # of the tokens whose vectors are wanted, within `ids`
    prompt_length: int


@dataclass(frozen=True, slots=True)
class _Result:
    """What the network made of one text, in the form that is kept.

    Parts of unit vectors lie in [-1, 1], so token vectors are held as fractions of 32767:
    half the bytes of float32, and at most 2e-5 off where float16 would be 2e-4 off.
    """

    vector: NDArray[np.float32]
    tokens: NDArray[np.int16] | None = None
    weights: NDArray[np.float32] | None = None

    @property
    def nbytes(self) -> int:
        parts = (self.vector, self.tokens, self.weights)
        return sum(part.nbytes for part in parts if part is not None)


class SentenceBiEncoder:
    """A sentence-transformers model behind a runner.

    Args:
        name: catalogue id.
        model: the loaded model, in float32 or the number format of `hardware`.
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
        self.window = window_of(model.config, model.max_seq_length)
        self.tokenizer = TextTokenizer(model.tokenizer.backend_tokenizer)
        self.prompts = {kind: model.prompts.get(kind) or "" for kind in ("query", "document")}
        self.cache: Cache[_Result] = Cache(cache_bytes, lambda result: result.nbytes)
        self.heads = heads or Heads()
        self._model = model.to(hardware.device).eval()
        self._network, *self._poolers = model
        self._network.to(hardware.torch_dtype)
        for module in [*self._poolers, *filter(None, (self.heads.multi_vector, self.heads.sparse))]:
            module.to(device=hardware.device, dtype=torch.float32)
        # The pooling module knows one prompt length for a whole batch, but a batch mixes texts
        # with different prompts; so a prompt that is not pooled is masked here.
        self._pools_prompt = all(getattr(part, "include_prompt", True) for part in self._poolers)
        self._inputs = model.tokenizer.model_input_names
        self._pad = int(model.tokenizer.pad_token_id or 0)
        self._unknown = model.tokenizer.unk_token_id
        self.runner = Runner(name, self._forward, lambda item: len(item.ids), hardware.token_budget)

    @property
    def dimension(self) -> int:
        """Return the length of a pooled vector."""
        return int(self._model.get_embedding_dimension() or 0)

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "document"],
        max_tokens: int | None,
        tokens: bool,
        call: Call,
    ) -> Encoded:
        """Encode texts; see `BiEncoder.encode`."""
        distinct = list(dict.fromkeys(texts))
        cut = self._tokenize(distinct, kind, max_tokens)
        keys = [
            self._key(kind, text, len(part.ids), tokens)
            for text, part in zip(distinct, cut, strict=True)
        ]
        found = [self.cache.get(each) if self.cache.max_bytes else None for each in keys]
        missing = [i for i, result in enumerate(found) if result is None]
        items = [self._item(cut[i], kind, tokens) for i in missing]
        for i, result in zip(missing, self.runner(items, call), strict=True):
            found[i] = result
            self.cache.put(keys[i], result)
        results = [result for result in found if result is not None]
        place = {text: i for i, text in enumerate(distinct)}
        order = [place[text] for text in texts]
        prompt = len(self.prompts[kind])
        made = (
            [self._token_vectors(cut[i], results[i], prompt) for i in range(len(distinct))]
            if tokens
            else []
        )
        return Encoded(
            vectors=np.stack([results[i].vector for i in order]),
            tokens=tuple(made[i] for i in order) if tokens else None,
            counts=np.array([len(cut[i].ids) for i in order], dtype=np.int64),
            truncated=np.array([cut[i].truncated for i in order], dtype=np.bool_),
            cached=len(distinct) - len(missing),
        )

    @property
    def weight_bytes(self) -> int:
        """Return the memory of the weights."""
        return sum(part.numel() * part.element_size() for part in self._model.parameters())

    def warm(self) -> None:
        """Run once, so that the first request does not pay for first-time set-up."""
        self.encode(["warm-up"], kind="query", max_tokens=None, tokens=True, call=Call())

    def close(self) -> None:
        """Stop the worker."""
        self.runner.close()

    def _tokenize(self, texts: list[str], kind: str, max_tokens: int | None) -> list[Tokens]:
        prompt = self.prompts[kind]
        window = self.window - self.tokenizer.single.size
        limit = window
        if max_tokens is not None:
            limit = min(window, max_tokens + self._prompt_tokens(prompt))
        return self.tokenizer([prompt + text for text in texts], limit)

    def _prompt_tokens(self, prompt: str) -> int:
        return len(self.tokenizer([prompt], self.window)[0].ids) if prompt else 0

    def _key(self, kind: str, text: str, read: int, tokens: bool) -> bytes:
        return (
            key(self.digest, "bi", kind, read, int(tokens), text) if self.cache.max_bytes else b""
        )

    def _item(self, cut: Tokens, kind: str, tokens: bool) -> _Item:
        ids, types = self.tokenizer.single.around(cut.ids)
        start = len(self.tokenizer.single.prefix)
        prompt = self.prompts[kind]
        content = self._content(cut, len(prompt)) if tokens else []
        return _Item(
            ids,
            types,
            [start + i for i in content] if tokens else None,
            start + self._prompt_tokens(prompt) if prompt else 0,
        )

    def _content(self, cut: Tokens, prompt_chars: int) -> list[int]:
        """Return the positions of tokens that carry meaning: no prompt, no bare punctuation."""
        punctuation = self.tokenizer.punctuation
        return [
            i
            for i, (token, (_, end)) in enumerate(zip(cut.ids, cut.spans, strict=True))
            if end > prompt_chars and not punctuation[token]
        ][:MAX_TOKEN_VECTORS]

    def _token_vectors(self, cut: Tokens, result: _Result, prompt_chars: int) -> TokenVectors:
        content = self._content(cut, prompt_chars)
        assert result.tokens is not None
        ids = np.array([cut.ids[i] for i in content], dtype=np.int64)
        spans = np.array([cut.spans[i] for i in content], dtype=np.int32).reshape(-1, 2)
        return TokenVectors(
            vectors=result.tokens * np.float32(1 / _FIXED_POINT),
            ids=ids,
            # The first token may take in the space that ends the prompt.
            spans=np.maximum(spans - prompt_chars, 0),
            # Two unknown tokens are not the same word, so they count for nothing.
            weights=None if result.weights is None else result.weights * (ids != self._unknown),
        )

    @torch.inference_mode()
    def _forward(self, items: list[_Item]) -> list[_Result]:
        """Run one batch; called on the worker only."""
        features = collate([(item.ids, item.types) for item in items], self._pad, self._inputs)
        device = self._model.device
        state: dict[str, Any] = {name: part.to(device) for name, part in features.items()}
        state = self._network(state)
        hidden = state["token_embeddings"] = state["token_embeddings"].float()
        if not self._pools_prompt:
            for row, item in enumerate(items):
                state["attention_mask"][row, : item.prompt_length] = 0
        for module in self._poolers:
            state = module(state)
        pooled = torch.nn.functional.normalize(state["sentence_embedding"].float(), dim=-1)
        if not torch.isfinite(pooled).all():
            raise InferenceError(f"model {self.name!r} returned a vector that is not finite")
        vectors = pooled.cpu().numpy()
        return [
            self._result(vector, hidden[row], item.positions)
            for row, (vector, item) in enumerate(zip(vectors, items, strict=True))
        ]

    def _result(
        self, vector: NDArray[np.float32], hidden: torch.Tensor, positions: list[int] | None
    ) -> _Result:
        if positions is None:
            return _Result(vector)
        chosen = hidden[positions]
        head, sparse = self.heads.multi_vector, self.heads.sparse
        rows = torch.nn.functional.normalize(head(chosen) if head else chosen, dim=-1)
        fixed = (rows * _FIXED_POINT).round().to(torch.int16).cpu().numpy()
        weights = torch.relu(sparse(chosen)).squeeze(-1).cpu().numpy() if sparse else None
        return _Result(vector, fixed, weights)
