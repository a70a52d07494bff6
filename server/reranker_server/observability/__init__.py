"""Request log, metrics, traces, and what the server tells of itself."""
