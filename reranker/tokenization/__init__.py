"""Text to token ids, and rows of ids to tensors."""
