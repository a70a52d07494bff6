"""Models: what they are, where they come from and how their work is batched."""
