"""Ranking quality, latency and the significance of differences."""
