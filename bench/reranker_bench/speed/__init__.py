"""`reranker speed`: how fast a running server, or the engine with the configured models, is."""
