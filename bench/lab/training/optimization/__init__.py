"""The training loop: lists, batches, losses and state."""
