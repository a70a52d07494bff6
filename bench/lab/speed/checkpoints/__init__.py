"""Checkpoints with the geometry of well-known models and random weights."""
