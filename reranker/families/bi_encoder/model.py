"""A bi-encoder: texts to pooled vectors and, on request, token vectors, in one pass.

The model is loaded by sentence-transformers, whose modules (pooling, projection, normalisation)
come from the checkpoint's own `modules.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

from reranker.backends.cpu_bert.unpad import remove_padding
from reranker.errors import UnusableModel
from reranker.families.base import Checkpoint, EmbedOptions, Features, Run
from reranker.families.bi_encoder.text_reading import (
    MAX_TOKEN_VECTORS,
    Prompt,
    TextItem,
    TextReading,
)
from reranker.families.bi_encoder.token_heads import TokenHeads, load_heads
from reranker.families.checkpoint_files import (
    library_options,
    reading_files,
    require_all_weights,
)
from reranker.families.records import FIXED_POINT, EmbeddingCodec, EmbeddingRecord
from reranker.tokenization.collate import collate, padding_id, window_of
from reranker.tokenization.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reranker.backends.device import DeviceConfig


class BiEncoderModel:
    """A sentence-transformers model; see `FamilyModel`.

    Args:
        model: loaded, moved here to the device and dtype; all that follows the transformer stays
            in float32.
        config: where to run.
        heads: trained heads beside the model.
    """

    codec = EmbeddingCodec()

    def __init__(self, model: SentenceTransformer, config: DeviceConfig, heads: TokenHeads) -> None:
        self.window = window_of(model.config, model.max_seq_length)
        self.tokenizer = TextTokenizer(model.tokenizer.backend_tokenizer)
        self.prompts = {
            kind: Prompt.of(model.prompts.get(kind) or "", self.tokenizer, self.window)
            for kind in ("query", "document")
        }
        self._heads = heads
        self._model = model.to(config.device).eval()
        self._transformer, *self._poolers = model
        self._transformer.to(config.torch_dtype)
        for module in [*self._poolers, *heads.modules]:
            module.to(device=config.device, dtype=torch.float32)
        # The pooling module knows one prompt length for a whole batch, but a batch mixes texts
        # with different prompts; so a prompt that is not pooled is masked here.
        self._pools_prompt = all(getattr(part, "include_prompt", True) for part in self._poolers)
        self._inputs = model.tokenizer.model_input_names
        self._pad = padding_id(model.config, model.tokenizer.pad_token_id)
        self._unknown = model.tokenizer.unk_token_id

    @property
    def dimensions(self) -> int | None:
        """Dimensions of a pooled vector."""
        return int(self._model.get_embedding_dimension() or 0) or None

    @property
    def network(self) -> torch.nn.Module | None:
        """The network of transformers in the first module; None where it has another kind."""
        if not isinstance(self._transformer, Transformer):
            return None
        text = self._transformer.modality_config.get("text", {})
        plain = text.get("method") == "forward"
        plain &= text.get("method_output_name") == "last_hidden_state"
        return self._transformer.auto_model if plain else None

    @property
    def weights(self) -> Sequence[torch.nn.Module]:
        """The model, and the heads beside it."""
        return [self._model, *self._heads.modules]

    @property
    def definition(self) -> str:
        """Tokenizer, prompts and how many tokens of a text have vectors."""
        prompts = {kind: prompt.text for kind, prompt in self.prompts.items()}
        return f"{self.tokenizer.definition}\n{prompts}\n{MAX_TOKEN_VECTORS}"

    def read(self, options: EmbedOptions) -> TextReading:
        """Return how texts are read under these options."""
        window, prompt = self.window - self.tokenizer.single.size, self.prompts[options.kind]
        most = options.max_tokens
        limit = window if most is None else min(window, most + prompt.size)
        return TextReading(self.tokenizer, options.kind, prompt, limit, options.tokens)

    def forward(self, items: list[TextItem], run: Run) -> list[EmbeddingRecord]:
        """Compute a batch's records."""
        state: dict[str, Any] = dict(self.features(items))
        if self.network is None:
            device = self._model.device
            state = self._transformer({name: part.to(device) for name, part in state.items()})
            hidden = state["token_embeddings"].float()
        else:
            hidden = run(state).float()
            mask = state["attention_mask"].to(hidden.device)
            state = {**state, "attention_mask": mask}
        state["token_embeddings"] = hidden
        if not self._pools_prompt:
            for row, item in enumerate(items):
                state["attention_mask"][row, : item.prompt_length] = 0
        for module in self._poolers:
            state = module(state)
        pooled = torch.nn.functional.normalize(state["sentence_embedding"].float(), dim=-1)
        vectors = pooled.cpu().numpy()
        return [self._record(vectors[row], hidden[row], item) for row, item in enumerate(items)]

    def outputs(self, records: Sequence[EmbeddingRecord]) -> NDArray[np.float32]:
        """Return the (n, d) pooled vectors."""
        return np.stack([record.vector for record in records])

    def sample_items(self, texts: Sequence[str], length: int) -> list[TextItem]:
        """Return documents cut to that many tokens."""
        room = min(length, self.window) - self.tokenizer.single.size
        prompt = self.prompts["document"]
        return TextReading(self.tokenizer, "document", prompt, room, tokens=False).prepare(texts)

    def features(self, items: list[TextItem]) -> Features:
        """Return a padded batch."""
        return collate([(item.ids, item.types) for item in items], self._pad, self._inputs)

    def _record(
        self, vector: NDArray[np.float32], hidden: torch.Tensor, item: TextItem
    ) -> EmbeddingRecord:
        # A copy, as the row is a view that would keep the whole batch in memory.
        pooled = EmbeddingRecord(vector.copy(), item.count, item.truncated)
        if item.positions is None or item.token_ids is None or item.spans is None:
            return pooled
        rows, weights = self._heads(hidden[item.positions])
        return EmbeddingRecord(
            pooled.vector,
            item.count,
            item.truncated,
            tokens=(rows * FIXED_POINT).round().to(torch.int16).cpu().numpy(),
            ids=item.token_ids,
            spans=item.spans,
            # Two unknown tokens are not the same word, so they count for nothing.
            weights=None if weights is None else weights * (item.token_ids != self._unknown),
        )


def load(checkpoint: Checkpoint, config: DeviceConfig) -> BiEncoderModel:
    """Load a checkpoint; see `BiEncoderFamily`."""
    card = checkpoint.card
    with reading_files(card, checkpoint.folder):
        model = _sentence_transformer(checkpoint)
        network = getattr(model[0], "auto_model", None)
        if network is not None:
            # Pooling reads the last hidden states; a pooler beside them is not run for anybody.
            require_all_weights(network, checkpoint, _network_folder(checkpoint), ("pooler.",))
            remove_padding(network)
        width = int(getattr(model.config, "hidden_size", 0))
        heads = load_heads(checkpoint.folder, width) if card.heads else TokenHeads()
    if card.max_tokens is not None:
        model.max_seq_length = min(card.max_tokens, model.max_seq_length or card.max_tokens)
    return BiEncoderModel(model, config, heads)


def _sentence_transformer(checkpoint: Checkpoint) -> SentenceTransformer:
    options, card = library_options(checkpoint), checkpoint.card
    folder = str(checkpoint.folder)
    if (checkpoint.folder / "modules.json").is_file():
        return SentenceTransformer(folder, **options)
    if card.pooling is None:
        raise UnusableModel(
            f"model {card.id!r} has no modules.json, so how it pools is unknown: "
            'set pooling = "cls" or "mean" for it in the config'
        )
    network = Transformer(folder, model_kwargs=options["model_kwargs"])
    pooling = Pooling(network.get_embedding_dimension(), card.pooling)
    return SentenceTransformer(modules=[network, pooling, Normalize()], device="cpu")


def _network_folder(checkpoint: Checkpoint) -> Path:
    """Return where the first module's files are: the checkpoint's folder, or one inside it."""
    first = next(iter(checkpoint.modules), {})
    return checkpoint.folder / str(first.get("path") or "")
