"""Caches of results: in memory, and in a tier that processes share."""
