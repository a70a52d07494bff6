"""What the embedded cross-encoder is trained on, as data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingCollection:
    """A collection that may be trained on.

    Attributes:
        name: Its folder.
        own_kind: What kind of query its own queries are.
        passages: How many passages to keep at most.
        max_tokens: Where passages are cut.
        shares: Query kind to its share of all training lists, in percent.
    """

    name: str
    own_kind: str
    passages: int
    max_tokens: int
    shares: dict[str, float]

    def queries_of(self, kind: str, lists: int) -> int:
        """Return how many queries of a kind are worth preparing for a run of ``lists`` lists."""
        return round(self.shares.get(kind, 0.0) / 100 * lists)


COLLECTIONS = (
    TrainingCollection("selqa-dev", "question", 9000, 64, {"question": 16, "keywords": 3}),
    TrainingCollection(
        "covidqa",
        "question",
        2500,
        128,
        {"question": 10, "sentence": 4, "keywords": 2, "long": 4},
    ),
    TrainingCollection("policyqa-dev", "question", 600, 128, {"question": 4}),
    TrainingCollection(
        "medquad",
        "question",
        2500,
        112,
        {"question": 8, "sentence": 3, "keywords": 2, "long": 3},
    ),
    TrainingCollection(
        "keyphrase",
        "topic",
        2600,
        176,
        {"topic": 11, "related": 14, "sentence": 4, "keywords": 2, "long": 6},
    ),
    TrainingCollection("tldr", "topic", 2200, 80, {"topic": 4}),
)
LISTS = 18_000
"""Lists of one run at the reference budget; bounds how many queries are prepared."""

DEV_PERCENT = 4
"""Passages held out, with every query that they answer."""

QUERY_TOKENS = 96
CANDIDATES = 24
