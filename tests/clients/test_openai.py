"""The OpenAI SDK: embeddings and models."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from support.clients import DOCUMENTS, KEY, call, client_module

openai = client_module("openai")
MODEL = "text-embedding-3-small"


@pytest.fixture
def connect():
    """Make clients, and close them in the end."""
    with ExitStack() as stack:

        def connect(base, key="any"):
            client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
            return stack.enter_context(client)

        yield connect


@pytest.fixture
def client(connect, base):
    return connect(base)


def close(one, other):
    return all(abs(a - b) < 1e-6 for a, b in zip(one, other, strict=True))


def test_embeddings_in_base64_by_default_and_as_floats(client):
    coded = client.embeddings.create(model=MODEL, input=DOCUMENTS)
    plain = client.embeddings.create(model=MODEL, input=DOCUMENTS, encoding_format="float")
    assert [each.index for each in coded.data] == [0, 1, 2, 3]
    for one, other in zip(coded.data, plain.data, strict=True):
        assert len(one.embedding) == 384
        assert close(one.embedding, other.embedding)
        assert abs(sum(x * x for x in one.embedding) - 1) < 1e-4
    assert coded.usage.total_tokens == plain.usage.prompt_tokens > 0
    assert coded.model == MODEL


def test_one_text_token_ids_and_dimensions(client, base):
    _, pieces = call(f"{base}/tokenize", {"inputs": DOCUMENTS[0], "add_special_tokens": False})
    ids = [piece["id"] for piece in pieces[0]]
    text = client.embeddings.create(model=MODEL, input=DOCUMENTS[0]).data[0].embedding
    for given in (ids, [ids]):
        made = client.embeddings.create(model=MODEL, input=given).data[0].embedding
        assert abs(sum(a * b for a, b in zip(made, text, strict=True)) - 1) < 1e-4
    same = client.embeddings.create(model=MODEL, input=DOCUMENTS[0], dimensions=384)
    assert close(same.data[0].embedding, text)
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model=MODEL, input="a", dimensions=64)


def test_models(client):
    ids = [model.id for model in client.models.list()]
    assert "all-MiniLM-L6-v2" in ids
    assert client.models.retrieve("BAAI/bge-m3").id == "BAAI/bge-m3"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no/such-model")


def test_errors_are_the_sdks_own(client, connect, keyed):
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="no-such-model", input="a")
    assert caught.value.type == "not_found"
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=MODEL, input=[])
    wrong = connect(keyed, "wrong")
    with pytest.raises(openai.AuthenticationError):
        wrong.models.list()
    right = connect(keyed, KEY)
    assert right.embeddings.create(model=MODEL, input="a").data
