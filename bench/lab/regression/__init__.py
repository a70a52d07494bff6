"""Comparing two checkouts: scores, files a request runs through, and speed.

The modules import only what every version of the package has, so that one copy of them measures
an older checkout, run with that checkout's Python and this folder's parent on `PYTHONPATH`.
"""
