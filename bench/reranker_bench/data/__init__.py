"""Test collections: BEIR folders, JSON lines, candidate pools, and the sample that is shipped."""
