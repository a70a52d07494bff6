"""Request log, metrics, traces, and the models endpoint."""
