"""Benchmarks, tuning and training for the reranking engine."""
