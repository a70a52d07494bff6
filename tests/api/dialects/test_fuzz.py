"""No body makes the server fail, and every refusal is in the dialect's own shape."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATHS = [
    "/rerank",
    "/v1/rerank",
    "/v2/rerank",
    "/api/rerank",
    "/v1/reranking",
    "/v1/ranking",
    "/score",
    "/inference/cross",
    "/ai/run/cross",
    "/api/v1/services/rerank/text-rerank/text-rerank",
    "/infinity/rerank",
    "/sglang/v1/rerank",
    "/voyage/v1/rerank",
    "/weaviate/rerank",
    "/pinecone/rerank",
    "/v1/embeddings",
    "/embed",
    "/tokenize",
]
NAMES = [
    "query",
    "documents",
    "texts",
    "passages",
    "contexts",
    "input",
    "inputs",
    "prompt",
    "queries",
    "items",
    "text_1",
    "text_2",
    "property",
    "instruct",
    "model",
    "method",
    "model_cross",
    "stage1_top_k",
    "top_n",
    "top_k",
    "truncation",
    "parameters",
    "rank_fields",
    "return_documents",
    "return_text",
    "raw_scores",
    "max_tokens_per_doc",
    "timeout_ms",
    "dimensions",
    "encoding_format",
    "input_type",
    "add_special_tokens",
]
numbers = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -1, 1, 10**400, 1e308, 2**63])
)
words = st.text(max_size=20) | st.sampled_from(["", " ", "machine learning", "cross:best", "bi"])
scalars = st.none() | st.booleans() | numbers | words
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "content", "query", "documents"]), inner, max_size=2
        )
        | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=6,
)
bodies = st.dictionaries(st.sampled_from(NAMES), values, max_size=6)
valid = st.fixed_dictionaries(
    {"query": words, "documents": st.lists(words, min_size=1, max_size=3)},
    optional={name: values for name in NAMES if name not in ("query", "documents", "timeout_ms")},
)
relaxed = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def check(client, path, content):
    answer = client.post(path, content=content)
    # 504 is what a timeout_ms of 1 asks for.
    assert answer.status_code < 500 or answer.status_code == 504, (path, content, answer.text)
    body = answer.json()
    if answer.status_code >= 400:
        assert isinstance(body, dict)
        assert {"error", "errors", "message"} & body.keys()
        assert "Traceback" not in answer.text
        assert "/work" not in answer.text


@relaxed
@given(st.sampled_from(PATHS), bodies | valid)
def test_any_object(client, path, body):
    check(client, path, json.dumps(body))


@relaxed
@given(st.sampled_from(PATHS), values)
def test_any_json(client, path, body):
    check(client, path, json.dumps(body))


@relaxed
@given(st.sampled_from(PATHS), st.binary(max_size=200))
def test_any_bytes(client, path, body):
    check(client, path, body)


def test_deep_nesting(client):
    for path in PATHS:
        for depth in (50, 5000, 200_000):
            deep = "[" * depth + "]" * depth
            check(client, path, f'{{"query": {deep}, "documents": ["a"], "input": {deep}}}')
            objects = '{"text":' * depth + '"a"' + "}" * depth
            check(client, path, f'{{"query": "a", "documents": [{objects}]}}')
