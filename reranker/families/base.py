"""What a model family is: the extension point for kinds of checkpoints.

A family recognizes its checkpoints and loads them; the loaded model turns texts into items and
batches of items into records. All else (de-duplication, caches, prefetch, scheduling, backends,
warm-up, telemetry) is done once for all families by `reranker.runtime`.

A wheel adds a family with two lines in its pyproject:

    [project.entry-points."reranker.model_families"]
    mine = "my_package.mine:MyFamily"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from reranker.model_card import Checkpoint, Role

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from reranker.backends.device import DeviceConfig
    from reranker.cache.tier import Codec
    from reranker.tokenization.tokenizer import TextTokenizer

__all__ = [
    "Checkpoint",
    "EmbedOptions",
    "FamilyModel",
    "Features",
    "Item",
    "ModelFamily",
    "Reading",
    "Role",
    "Run",
    "ScoreOptions",
]

Features = Mapping[str, "torch.Tensor"]
Run = Callable[[Features], "torch.Tensor"]
"""Runs a model's network on a batch by whichever backend is in use; see `FamilyModel.network`."""


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """How texts are to be embedded.

    Attributes:
        kind: chooses the model's own prompt, where it has one.
        max_tokens: the most tokens read of each, special ones left out; None: the window.
        tokens: whether token vectors are needed too.
    """

    kind: Literal["query", "document"]
    max_tokens: int | None
    tokens: bool


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """Against which query documents are to be scored, reading at most `max_tokens` of each."""

    query: str
    max_tokens: int


class Item(Protocol):
    """One input as the network reads it."""

    @property
    def length(self) -> int:
        """Tokens with special ones; batches are bounded by their padded sum."""


OptionsT = TypeVar("OptionsT", contravariant=True)
ItemT = TypeVar("ItemT", bound=Item)
RecordT = TypeVar("RecordT")
CheckedT = TypeVar("CheckedT", contravariant=True)


class Reading(Protocol[ItemT, CheckedT]):
    """How the texts of one request are read, from the request's options."""

    @property
    def scope(self) -> tuple[str | int, ...]:
        """All that a result depends on beside the weights and the text."""

    @property
    def kind(self) -> str:
        """The kind of record that is needed, under which the shared cache tier keeps it."""

    @property
    def query_tokens(self) -> int:
        """How many tokens of a query are read beside each text; 0 where there is none."""

    @property
    def query_truncated(self) -> bool:
        """Whether that query was cut."""

    def prepare(self, texts: Sequence[str]) -> list[ItemT]:
        """Tokenize texts; called on several threads."""

    def accepts(self, record: CheckedT) -> bool:
        """Tell whether a cached record has all that is needed."""


class FamilyModel(Protocol[OptionsT, ItemT, RecordT]):
    """A loaded model of a family."""

    @property
    def window(self) -> int:
        """The most tokens it reads of an input, special ones included."""

    @property
    def dimensions(self) -> int | None:
        """Dimensions of a pooled vector, None where there is none."""

    @property
    def tokenizer(self) -> TextTokenizer | None:
        """The tokenizer, where there is one to show."""

    @property
    def network(self) -> torch.nn.Module | None:
        """What backends may run in torch's place, None where there is nothing of that kind.

        Called with a batch's features it returns `logits` or `last_hidden_state`.
        """

    @property
    def weights(self) -> Sequence[torch.nn.Module]:
        """All modules with weights, for their memory and fingerprint."""

    @property
    def definition(self) -> str:
        """All beside the weights that results depend on, as text, for the fingerprint."""

    @property
    def codec(self) -> Codec[RecordT]:
        """How records are measured and written for caches."""

    def read(self, options: OptionsT) -> Reading[ItemT, RecordT]:
        """Return how texts are read under these options."""

    def forward(self, items: list[ItemT], run: Run) -> list[RecordT]:
        """Compute one record for each item of a batch; called on worker threads only."""

    def outputs(self, records: Sequence[RecordT]) -> NDArray[np.float32]:
        """Return what must be finite, and what execution variants are compared by.

        Returns:
            (n,) logits or (n, d) unit vectors.
        """

    def sample_items(self, texts: Sequence[str], length: int) -> list[ItemT]:
        """Return items of real text, each cut to that many tokens, to measure and compare with."""

    def features(self, items: list[ItemT]) -> Features:
        """Return a batch as `network` reads it."""


class ModelFamily(Protocol):
    """A kind of checkpoint that is loaded, read and computed alike."""

    @property
    def name(self) -> str:
        """The family's name, as `/v1/models` shows it."""

    @property
    def role(self) -> Role:
        """What stages may ask of its models."""

    def matches(self, checkpoint: Checkpoint) -> bool:
        """Tell by its files, never by its name, whether a checkpoint is the family's."""

    def load(self, checkpoint: Checkpoint, config: DeviceConfig) -> FamilyModel[Any, Any, Any]:
        """Load a checkpoint in evaluation mode.

        Raises:
            UnusableModel: its files are broken or incomplete.
        """
