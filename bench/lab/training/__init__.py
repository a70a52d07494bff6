"""Training of the embedded cross-encoder, one idea per module.

``prepare`` turns collections into cached training material (passages, queries of several kinds,
hard negatives, bi-encoder vectors), ``lists`` draws training lists from it, ``loop`` trains,
``export`` writes the overlay and ``evaluate`` measures it on collections.
"""
