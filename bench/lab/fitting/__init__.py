"""Fitting of a profile for `best`, one idea per module.

``sample`` draws queries and their frozen pools, ``bank`` measures background statistics of a
bi-encoder's tokens, ``features`` computes every feature once and caches it, ``weights`` fits
weights and calibration, ``ladder`` says what each term earns on collections that it was not
fitted on.
"""
