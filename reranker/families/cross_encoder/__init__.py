"""The cross-encoder family: query and document read together by a sequence classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reranker.families.base import Checkpoint, Role

if TYPE_CHECKING:
    from reranker.backends.device import DeviceConfig
    from reranker.families.cross_encoder.model import CrossEncoderModel


class CrossEncoderFamily:
    """Sequence classifiers with one label; see `ModelFamily`."""

    name = "cross-encoder"
    role: Role = "cross-encoder"

    def matches(self, checkpoint: Checkpoint) -> bool:
        """Tell whether the weights are those of a classifier with one label."""
        names = checkpoint.architectures
        classifies = any(name.endswith("ForSequenceClassification") for name in names)
        return classifies and labels_of(checkpoint) == 1 and checkpoint.overlay is None

    def load(self, checkpoint: Checkpoint, config: DeviceConfig) -> CrossEncoderModel:
        """Load a checkpoint; see `ModelFamily`."""
        from reranker.families.cross_encoder.model import load

        return load(checkpoint, config)


def labels_of(checkpoint: Checkpoint) -> int:
    """Return how many labels a classifier has; two of them are the libraries' unwritten default."""
    config = checkpoint.config
    return len(config.get("id2label") or ()) or int(config.get("num_labels", 2))
