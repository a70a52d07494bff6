"""Admission control: fair queueing with load shedding (429)."""
