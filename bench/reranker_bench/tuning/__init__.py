"""Fitting a fusion profile and a score threshold to labelled queries."""
