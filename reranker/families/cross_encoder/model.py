"""A cross-encoder: query and document read together, one float32 logit a pair.

(Nogueira and Cho, "Passage Re-ranking with BERT", 2019.) The document is cut to fit, never the
meaning of the query; what was cut is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder

from reranker.backends.cpu_bert.unpad import remove_padding
from reranker.backends.tuning.calibration_texts import QUERIES
from reranker.families.base import Checkpoint, Features, Run, ScoreOptions
from reranker.families.checkpoint_files import (
    library_options,
    reading_files,
    require_all_weights,
)
from reranker.families.records import ScoreCodec, ScoreRecord
from reranker.tokenization.collate import collate, padding_id, window_of
from reranker.tokenization.tokenizer import TextTokenizer, pair_shares

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from reranker.backends.device import DeviceConfig


@dataclass(frozen=True, slots=True)
class PairItem:
    """One framed pair as the network reads it.

    Attributes:
        ids: vocabulary ids, special tokens included.
        types: the token type of each.
        count: tokens of the document that are read.
        truncated: whether the document was cut.
    """

    ids: list[int]
    types: list[int]
    count: int
    truncated: bool

    @property
    def length(self) -> int:
        """Tokens of both texts, special ones included."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class PairReading:
    """How the documents of one query are read; see `Reading`.

    Attributes:
        tokenizer: of the model.
        query: the whole query.
        query_ids: what is read of it.
        query_truncated: whether that is less than all.
        limit: the most tokens of a document.
    """

    tokenizer: TextTokenizer
    query: str
    query_ids: list[int]
    query_truncated: bool
    limit: int
    kind: str = ""

    @classmethod
    def of(cls, options: ScoreOptions, tokenizer: TextTokenizer, window: int) -> PairReading:
        """Tokenize the query and share the window between it and a document.

        Args:
            options: the query, and the most tokens of a document.
            tokenizer: of the model.
            window: tokens of a pair, special ones included.
        """
        room = window - tokenizer.pair.size
        whole = tokenizer([options.query], room)[0]
        query_room, document_room = pair_shares(len(whole.ids), room)
        ids = whole.ids[:query_room]
        cut = whole.truncated or len(ids) < len(whole.ids)
        return cls(tokenizer, options.query, ids, cut, min(document_room, options.max_tokens))

    @property
    def query_tokens(self) -> int:
        """How many tokens of the query are read."""
        return len(self.query_ids)

    @property
    def scope(self) -> tuple[str | int, ...]:
        """The role, the cut and the query."""
        return ("cross-encoder", self.limit, self.query)

    def accepts(self, _: ScoreRecord) -> bool:
        """Every record has all that is needed."""
        return True

    def prepare(self, texts: Sequence[str]) -> list[PairItem]:
        """Tokenize documents and put each into a pair with the query."""
        around = self.tokenizer.pair.around
        return [
            PairItem(*around(self.query_ids, cut.ids), len(cut.ids), cut.truncated)
            for cut in self.tokenizer(texts, self.limit)
        ]


class CrossEncoderModel:
    """A network that returns one logit a pair; see `FamilyModel`.

    Args:
        network: moved here to the device and dtype.
        tokenizer: its tokenizer.
        config: where to run.
        declared_window: tokens that the model says it can read, if it does.
    """

    codec = ScoreCodec()
    dimensions: int | None = None

    def __init__(
        self,
        network: Any,
        tokenizer: PreTrainedTokenizerBase,
        config: DeviceConfig,
        declared_window: int | None = None,
    ) -> None:
        self.window = window_of(network.config, declared_window)
        self.tokenizer = TextTokenizer(tokenizer.backend_tokenizer)
        self.network: torch.nn.Module = network.to(
            device=config.device, dtype=config.torch_dtype
        ).eval()
        self._inputs = tokenizer.model_input_names
        self._pad = padding_id(network.config, tokenizer.pad_token_id)

    @property
    def weights(self) -> Sequence[torch.nn.Module]:
        """The network."""
        return [self.network]

    @property
    def definition(self) -> str:
        """The tokenizer, and what the network takes."""
        return f"{self.tokenizer.definition}\n{self._inputs}"

    def read(self, options: ScoreOptions) -> PairReading:
        """Return how documents are read beside the query."""
        return PairReading.of(options, self.tokenizer, self.window)

    def forward(self, items: list[PairItem], run: Run) -> list[ScoreRecord]:
        """Compute a batch's records."""
        logits = run(self.features(items)).float().reshape(len(items), -1)[:, 0].cpu().tolist()
        return [
            ScoreRecord(logit, item.count, item.truncated)
            for logit, item in zip(logits, items, strict=True)
        ]

    def outputs(self, records: Sequence[ScoreRecord]) -> NDArray[np.float32]:
        """Return the (n,) logits."""
        return np.array([record.logit for record in records], dtype=np.float32)

    def sample_items(self, texts: Sequence[str], length: int) -> list[PairItem]:
        """Return pairs of that many tokens, with various queries."""
        room = min(length, self.window) - self.tokenizer.pair.size
        queries = [cut.ids for cut in self.tokenizer(QUERIES, room // 2)]
        items = []
        for number, cut in enumerate(self.tokenizer(texts, room)):
            query = queries[number % len(queries)]
            ids = cut.ids[: room - len(query)]
            items.append(PairItem(*self.tokenizer.pair.around(query, ids), len(ids), False))
        return items

    def features(self, items: list[PairItem]) -> Features:
        """Return a padded batch."""
        return collate([(item.ids, item.types) for item in items], self._pad, self._inputs)


def load(checkpoint: Checkpoint, config: DeviceConfig) -> CrossEncoderModel:
    """Load a checkpoint; see `CrossEncoderFamily`."""
    card = checkpoint.card
    with reading_files(card, checkpoint.folder):
        model = CrossEncoder(str(checkpoint.folder), **library_options(checkpoint))
        require_all_weights(model.model, checkpoint, checkpoint.folder)
        remove_padding(model.model)
    window = min(filter(None, (card.max_tokens, model.max_seq_length)), default=None)
    return CrossEncoderModel(model.model, model.tokenizer, config, window)
