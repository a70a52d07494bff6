"""Vectors and tokens, one file for each API."""
