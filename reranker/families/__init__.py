"""How each family of models is loaded, reads its inputs and computes.

What a family of another package needs is exported here.
"""

from reranker.families.base import (
    Checkpoint,
    EmbedOptions,
    FamilyModel,
    Item,
    ModelFamily,
    Reading,
    Role,
    ScoreOptions,
)
from reranker.families.records import EmbeddingRecord, ScoreRecord
from reranker.families.text_pair_model import TextPairModel

__all__ = [
    "Checkpoint",
    "EmbedOptions",
    "EmbeddingRecord",
    "FamilyModel",
    "Item",
    "ModelFamily",
    "Reading",
    "Role",
    "ScoreOptions",
    "ScoreRecord",
    "TextPairModel",
]
