"""The family of the embedded cross-encoder: trained layers laid over a bi-encoder's weights.

Whatever is special about that model stands in this folder alone. What stayed frozen in training,
the embeddings and the lower layers, is the bi-encoder's own, so only the layers above are shipped,
in float16, with this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reranker.families.base import Checkpoint, Role

if TYPE_CHECKING:
    from reranker.backends.device import DeviceConfig
    from reranker.families.cross_encoder.model import CrossEncoderModel


class SplitCrossEncoderFamily:
    """Overlays that the catalogue names; see `ModelFamily`."""

    name = "split-cross-encoder"
    role: Role = "cross-encoder"

    def matches(self, checkpoint: Checkpoint) -> bool:
        """Tell whether trained layers go over the checkpoint's weights."""
        return checkpoint.overlay is not None

    def load(self, checkpoint: Checkpoint, config: DeviceConfig) -> CrossEncoderModel:
        """Load the overlay over the checkpoint, its bi-encoder; see `ModelFamily`."""
        from safetensors.torch import load_file
        from transformers import AutoTokenizer, BertConfig

        from reranker.families.checkpoint_files import reading_files
        from reranker.families.cross_encoder.model import CrossEncoderModel
        from reranker.families.split_cross_encoder.network import SplitBert, pair_frame

        card = checkpoint.card
        folder = checkpoint.overlay
        assert folder is not None
        with reading_files(card, folder):
            base = load_file(checkpoint.require_files())
            shape = BertConfig.from_pretrained(folder)
            network = SplitBert.over(shape, base, load_file(folder / "overlay.safetensors"))
            tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder)
            tokenizer.backend_tokenizer.post_processor = pair_frame(tokenizer)
        return CrossEncoderModel(network, tokenizer, config, card.max_tokens)
