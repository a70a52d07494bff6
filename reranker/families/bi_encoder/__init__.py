"""The bi-encoder family: sentence-transformers models that embed a text by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reranker.families.base import Checkpoint, Role

if TYPE_CHECKING:
    from reranker.backends.device import DeviceConfig
    from reranker.families.bi_encoder.model import BiEncoderModel


class BiEncoderFamily:
    """Checkpoints whose `modules.json`, or whose card, says how they pool; see `ModelFamily`."""

    name = "bi-encoder"
    role: Role = "bi-encoder"

    def matches(self, checkpoint: Checkpoint) -> bool:
        """Tell whether the weights are not those of a classifier."""
        names = checkpoint.architectures
        classifies = any(name.endswith("ForSequenceClassification") for name in names)
        return bool(checkpoint.config) and not classifies

    def load(self, checkpoint: Checkpoint, config: DeviceConfig) -> BiEncoderModel:
        """Load a checkpoint; see `ModelFamily`.

        Raises:
            UnusableModel: its files are broken, or it does not say how it pools.
        """
        from reranker.families.bi_encoder.model import load

        return load(checkpoint, config)
