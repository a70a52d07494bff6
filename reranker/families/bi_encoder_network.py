"""The bi-encoder's network: batches of framed texts to vectors, on the workers' threads.

The network is loaded by sentence-transformers, whose modules (pooling, projection,
normalisation) come from the model's own `modules.json`. Where a model ships trained heads
beside it (bge-m3's `colbert_linear.pt` and `sparse_linear.pt`; Chen et al., "M3-Embedding",
Findings of ACL 2024), token vectors and lexical weights come from those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from reranker.errors import InferenceError
from reranker.scheduling.out_of_memory import bytes_of
from reranker.tokenization.collate import collate, window_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from reranker.backends.device import Hardware

FIXED_POINT = 32767  # the largest int16


@dataclass(frozen=True, slots=True)
class Heads:
    """Linear layers over the last hidden states: to token vectors, and to lexical weights."""

    multi_vector: torch.nn.Linear | None = None
    sparse: torch.nn.Linear | None = None


@dataclass(frozen=True, slots=True)
class Framed:
    """One text as the network reads it.

    Attributes:
        ids: vocabulary ids, special tokens included.
        types: the token type of each.
        positions: of the tokens whose vectors are wanted, within `ids`; None wants none.
        prompt_length: how many of the ids belong to the prompt.
    """

    ids: list[int]
    types: list[int]
    positions: list[int] | None
    prompt_length: int


@dataclass(frozen=True, slots=True)
class Output:
    """What the network made of one text.

    Parts of unit vectors lie in [-1, 1], so token vectors are held as fractions of 32767:
    half the bytes of float32, and at most 2e-5 off where float16 would be 2e-4 off.

    Attributes:
        vector: (d,) float32, of unit length.
        tokens: (t, d) int16, or None where they were not wanted.
        weights: (t,) float32 of the sparse head, or None.
    """

    vector: NDArray[np.float32]
    tokens: NDArray[np.int16] | None = None
    weights: NDArray[np.float32] | None = None

    @property
    def nbytes(self) -> int:
        """Return the memory of the arrays."""
        parts = (self.vector, self.tokens, self.weights)
        return sum(part.nbytes for part in parts if part is not None)


class BiNetwork:
    """A sentence-transformers model and its heads, called with one batch.

    Args:
        name: for error messages.
        model: the loaded model, moved to the hardware's device and number format; all that
            follows the transformer stays in float32.
        hardware: where to run.
        heads: trained heads.
    """

    def __init__(
        self, name: str, model: SentenceTransformer, hardware: Hardware, heads: Heads
    ) -> None:
        self._name = name
        self.window = window_of(model.config, model.max_seq_length)
        self._heads = heads
        self._model = model.to(hardware.device).eval()
        self._transformer, *self._poolers = model
        self._transformer.to(hardware.torch_dtype)
        self.weight_bytes = bytes_of(self._model)
        for module in [*self._poolers, *filter(None, (heads.multi_vector, heads.sparse))]:
            module.to(device=hardware.device, dtype=torch.float32)
        # The pooling module knows one prompt length for a whole batch, but a batch mixes texts
        # with different prompts; so a prompt that is not pooled is masked here.
        self._pools_prompt = all(getattr(part, "include_prompt", True) for part in self._poolers)
        self._inputs = model.tokenizer.model_input_names
        self._pad = int(model.tokenizer.pad_token_id or 0)

    @property
    def dimension(self) -> int:
        """Return the length of a pooled vector."""
        return int(self._model.get_embedding_dimension() or 0)

    @property
    def networks(self) -> list[torch.nn.Module]:
        """Return all that has weights: the model, and the heads beside it."""
        heads = (self._heads.multi_vector, self._heads.sparse)
        return [self._model, *(head for head in heads if head is not None)]

    @property
    def inner(self) -> Any:
        """Return the network of transformers in the first module; None in one of another kind."""
        return getattr(self._transformer, "auto_model", None)

    def collate(self, items: list[Framed]) -> dict[str, torch.Tensor]:
        """Return a batch as the network reads it."""
        return collate([(item.ids, item.types) for item in items], self._pad, self._inputs)

    @torch.inference_mode()
    def __call__(self, items: list[Framed]) -> list[Output]:
        """Run one batch.

        Raises:
            InferenceError: a vector is not finite.
        """
        device = self._model.device
        state: dict[str, Any] = {k: part.to(device) for k, part in self.collate(items).items()}
        state = self._transformer(state)
        hidden = state["token_embeddings"] = state["token_embeddings"].float()
        if not self._pools_prompt:
            for row, item in enumerate(items):
                state["attention_mask"][row, : item.prompt_length] = 0
        for module in self._poolers:
            state = module(state)
        pooled = torch.nn.functional.normalize(state["sentence_embedding"].float(), dim=-1)
        if not torch.isfinite(pooled).all():
            raise InferenceError(f"model {self._name!r} returned a vector that is not finite")
        vectors = pooled.cpu().numpy()
        return [
            self._output(vector, hidden[row], item.positions)
            for row, (vector, item) in enumerate(zip(vectors, items, strict=True))
        ]

    def _output(
        self, vector: NDArray[np.float32], hidden: torch.Tensor, positions: list[int] | None
    ) -> Output:
        # A copy, as the row is a view that would keep the whole batch in memory.
        vector = vector.copy()
        if positions is None:
            return Output(vector)
        chosen = hidden[positions]
        head, sparse = self._heads.multi_vector, self._heads.sparse
        rows = torch.nn.functional.normalize(head(chosen) if head else chosen, dim=-1)
        fixed = (rows * FIXED_POINT).round().to(torch.int16).cpu().numpy()
        weights = torch.relu(sparse(chosen)).squeeze(-1).cpu().numpy() if sparse else None
        return Output(vector, fixed, weights)
