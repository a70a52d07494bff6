"""Training material: passages, queries, hard negatives and teacher scores."""
