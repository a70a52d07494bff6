"""`/llms.txt`: how to call the server, for language models."""

from __future__ import annotations

TEXT = """\
# Reranker

> A self-hosted reranking server. One request names a method, and so chooses speed or accuracy.

## Rank documents

POST /api/v3/inference/reranker with JSON:
{"model": "all-MiniLM-L6-v2", "model_cross": "minilm-l6-cross-encoder", "method": "optimal",
 "query": "...", "documents": ["...", "..."], "top_n": 10}

Response: {"results": [{"index", "relevance_score", "document"}], "meta": {"method", ...}}, best
first, scores within [0, 1].

## Methods

- fast: cosine of bi-encoder vectors; cheapest.
- standard: cross-encoder on every document; slowest.
- optimal: fast keeps stage1_top_k documents, standard orders them.
- best: as optimal, fused with token-level features; works without a cross-encoder too.

## Other APIs, by changing the base address only

- Cohere, Jina, SiliconFlow, Together, vLLM, Infinity: POST /v1/rerank, /v2/rerank, /rerank
- Hugging Face text-embeddings-inference: POST /rerank with `texts`, /embed, /tokenize; GET /info
- Voyage: POST /v1/rerank with `top_k`
- Mixedbread: POST /v1/reranking; NVIDIA NIM: POST /v1/ranking; vLLM: POST /score
- Pinecone: POST /rerank with its headers; DeepInfra: POST /v1/inference/{model}
- Cloudflare Workers AI: POST /client/v4/accounts/{account}/ai/run/{model}
- Weaviate reranker-transformers: POST /rerank with `property`
- DashScope: POST /api/v1/services/rerank/text-rerank/text-rerank, /compatible-api/v1/reranks
- OpenAI: POST /v1/embeddings, GET /v1/models
- Where the same bytes have different responses, a prefix decides: /infinity/rerank (documents as
  strings), /sglang/v1/rerank (a bare array), /voyage/v1/rerank, and so on.

Each of the ranking ones also takes `method`, `model_cross` and `stage1_top_k`, and a model id may
carry the method: "minilm-l6-cross-encoder:best". A cross-encoder's id alone means standard, a
bi-encoder's alone fast, none at all standard with the server's own cross-encoder.

## Keys and errors

Authorization: Bearer <key>, where the server has keys. Errors are
{"error": {"message", "type", "param", "code"}, "message", "detail"}, or the dialect's own shape.
429 and 503 come with Retry-After.

## More

- GET /v1/models: ids, device, dtype, window of each model
- GET /openapi.json: every route and field; GET /docs to browse
- GET /healthz, /readyz, /metrics
"""
