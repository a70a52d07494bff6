"""`overlap`: a model family from another wheel; a cross-encoder that counts shared words."""

from reranker.families import Checkpoint, TextPairModel


class Overlap(TextPairModel):
    """Scores a pair by the words its texts share, times the checkpoint's weight."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.definition = f"overlap {weight}"

    def score_pairs(self, pairs: list[tuple[str, str]]) -> list[float]:
        """Return the logits."""
        return [self.weight * len(set(q.split()) & set(d.split())) for q, d in pairs]


class OverlapFamily:
    """Folders whose config.json has the model type `overlap`."""

    name, role = "overlap", "cross-encoder"

    def matches(self, checkpoint: Checkpoint) -> bool:
        """Tell whether a checkpoint is of this family."""
        return checkpoint.config.get("model_type") == "overlap"

    def load(self, checkpoint: Checkpoint, config: object) -> Overlap:
        """Load a checkpoint."""
        return Overlap(checkpoint.config["weight"])
