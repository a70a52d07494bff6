"""One runtime that serves the models of every family."""
