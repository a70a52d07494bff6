"""The main API: `POST /api/v3/inference/reranker`."""
