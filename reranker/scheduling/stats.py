"""What a scheduler counts."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class SchedulerStats:
    """Counts since the start: batches planned, items in them, mean padding ratio, halvings."""

    batches: int = 0
    items: int = 0
    failed_items: int = 0
    padding: float = 1.0
    halvings: int = 0

    def plus(self, batches: int, items: int, padding: float) -> SchedulerStats:
        """Return the counts with a round's batches, items and padding ratio added."""
        total = self.items + items
        mean = (self.padding * self.items + padding * items) / total if total else 1.0
        return replace(self, batches=self.batches + batches, items=total, padding=mean)
