"""The models of an engine, and the status of each: the protocol `ModelPool`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from reranker.cache.lru import CacheStats
    from reranker.families.roles import BiEncoder, CrossEncoder
    from reranker.hub.catalog import Catalog
    from reranker.model_card import Role
    from reranker.scheduling.stats import SchedulerStats

State = Literal["loading", "ready", "restarting", "failed"]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A loaded model as `/v1/models`, the metrics and the log show it.

    Attributes:
        id: catalogue id of the weights.
        role: what it is used as.
        family: that loaded it.
        device: as torch names it.
        dtype: of the weights.
        backend: that runs it at present, such as "torch" or "openvino int8".
        attn_implementation: torch's attention kernel, None where the backend has its own.
        packed_weights: whether the weights are laid out for the CPU's matmuls.
        window: the most tokens it reads of an input, special tokens included.
        dimensions: of a pooled vector, None where there is none.
        max_batch_tokens: the most padded tokens in a batch.
        concurrent_batches: how many batches run at a time.
        weight_bytes: memory of the weights.
        scheduler: what its scheduler counted.
        cache: what its cache counted.
    """

    id: str
    role: Role
    family: str
    device: str
    dtype: str
    backend: str
    attn_implementation: str | None
    packed_weights: bool
    window: int
    dimensions: int | None
    max_batch_tokens: int
    concurrent_batches: int
    weight_bytes: int
    scheduler: SchedulerStats
    cache: CacheStats


class ModelPool(Protocol):
    """The models of an engine: an id becomes a model that is ready to be asked."""

    @property
    def catalog(self) -> Catalog:
        """Which ids there are."""

    @property
    def device(self) -> str:
        """Where models run, as torch names it."""

    def bi_encoder(self, model: str) -> BiEncoder:
        """Return the bi-encoder that the id stands for.

        Raises:
            UnknownModel: no such id, or requests may not load it.
            ModelUnavailable: it could not be loaded, or is no bi-encoder.
        """

    def cross_encoder(self, model: str) -> CrossEncoder:
        """Return the cross-encoder that the id stands for; raises as `bi_encoder` does."""

    def states(self) -> Mapping[str, State]:
        """Return the state of each model that was asked for, by catalogue id."""

    def loaded(self) -> tuple[ModelStatus, ...]:
        """Return the models that are loaded."""

    def warm(self, models: Iterable[tuple[Role, str]]) -> None:
        """Load models and run each once, so that no request pays for it."""

    def close(self) -> None:
        """Stop all workers; waiting calls raise ModelUnavailable."""
