"""The features that `best` fuses."""
