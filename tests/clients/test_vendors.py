"""The SDKs of Voyage, Together, Mixedbread, Pinecone, Infinity and Xinference."""

from __future__ import annotations

import pytest
from support.clients import DOCUMENTS, MODEL, QUERY, client_module


class TestVoyage:
    @pytest.fixture
    def client(self, base):
        voyageai = client_module("voyageai")
        return voyageai.Client(api_key="any", base_url=f"{base}/v1", max_retries=0)

    def test_rerank(self, client, order):
        answer = client.rerank(QUERY, DOCUMENTS, model="rerank-2.5")
        assert [result.index for result in answer.results] == order
        assert [result.document for result in answer.results] == [DOCUMENTS[i] for i in order]
        assert answer.total_tokens > 0
        two = client.rerank(QUERY, DOCUMENTS, model="rerank-2.5", top_k=2, truncation=False)
        assert [result.index for result in two.results] == order[:2]

    def test_embed(self, client):
        answer = client.embed(DOCUMENTS, model="text-embedding-3-small", input_type="document")
        assert [len(vector) for vector in answer.embeddings] == [384] * len(DOCUMENTS)
        assert answer.total_tokens > 0

    def test_errors_have_a_text(self, client):
        error = client_module("voyageai.error")
        with pytest.raises(error.VoyageError, match="unknown model"):
            client.rerank(QUERY, DOCUMENTS, model="no-such-model")
        with pytest.raises(error.InvalidRequestError, match="query must not be blank"):
            client.rerank(" ", DOCUMENTS, model="rerank-2.5")

    def test_prefix(self, base, order):
        voyageai = client_module("voyageai")
        client = voyageai.Client(api_key="any", base_url=f"{base}/voyage/v1", max_retries=0)
        answer = client.rerank(QUERY, DOCUMENTS, model="rerank-2.5")
        assert [result.index for result in answer.results] == order


class TestTogether:
    @pytest.mark.parametrize("return_documents", [True, False])
    def test_rerank(self, base, order, return_documents):
        together = client_module("together")
        client = together.Together(api_key="any", base_url=base, max_retries=0)
        answer = client.rerank.create(
            model=MODEL, query=QUERY, documents=DOCUMENTS, return_documents=return_documents
        )
        assert answer.object == "rerank"
        assert [result.index for result in answer.results] == order
        if return_documents:
            assert answer.results[0].document.text == DOCUMENTS[order[0]]
        assert answer.usage.total_tokens > 0
        objects = [{"title": "t", "text": text} for text in DOCUMENTS]
        answer = client.rerank.create(
            model=MODEL, query=QUERY, documents=objects, rank_fields=["text"], top_n=2
        )
        assert [result.index for result in answer.results] == order[:2]

    def test_errors(self, base):
        together = client_module("together")
        client = together.Together(api_key="any", base_url=base, max_retries=0)
        with pytest.raises(together.NotFoundError):
            client.rerank.create(model="no-such-model", query=QUERY, documents=DOCUMENTS)


class TestMixedbread:
    def test_rerank(self, base, order):
        mixedbread = client_module("mixedbread")
        client = mixedbread.Mixedbread(api_key="any", base_url=base, max_retries=0)
        answer = client.rerank(
            model=MODEL, query=QUERY, input=DOCUMENTS, top_k=3, return_input=True
        )
        assert [result.index for result in answer.data] == order[:3]
        assert answer.data[0].input == DOCUMENTS[order[0]]
        assert answer.data[0].score > answer.data[1].score
        assert answer.usage.total_tokens > 0
        assert answer.top_k == 3
        with pytest.raises(mixedbread.BadRequestError):
            client.rerank(model=MODEL, query=QUERY, input=[])


class TestPinecone:
    @pytest.fixture
    def client(self, base):
        pinecone = client_module("pinecone")
        return pinecone.Pinecone(api_key="any", host=base)

    def test_rerank(self, client, order):
        answer = client.inference.rerank(model=MODEL, query=QUERY, documents=DOCUMENTS, top_n=3)
        assert [each.index for each in answer.data] == order[:3]
        assert answer.data[0].document["text"] == DOCUMENTS[order[0]]
        assert answer.usage.rerank_units == 1

    def test_errors(self, client):
        with pytest.raises(Exception, match="unknown model"):
            client.inference.rerank(model="no-such-model", query=QUERY, documents=DOCUMENTS)


class TestInfinity:
    @pytest.mark.parametrize("return_documents", [True, False])
    @pytest.mark.parametrize("prefix", ["", "/infinity"])
    def test_rerank(self, base, order, return_documents, prefix):
        infinity = client_module("infinity_client")
        rerank = client_module("infinity_client.api.default.rerank")
        models = client_module("infinity_client.models")
        with infinity.Client(base_url=base + prefix, timeout=60) as client:
            body = models.RerankInput(
                query=QUERY, documents=DOCUMENTS, return_documents=return_documents
            )
            answer = rerank.sync(client=client, body=body)
        assert answer.object_ == "rerank"
        assert [result.index for result in answer.results] == order
        assert answer.usage.total_tokens > 0
        if return_documents and prefix:
            assert answer.results[0].document == DOCUMENTS[order[0]]


class TestXinference:
    def test_rerank(self, base, order):
        xinference = client_module("xinference_client")
        model = xinference.RESTfulClient(base).get_model(MODEL)
        answer = model.rerank(DOCUMENTS, QUERY, return_documents=True)
        assert [result["index"] for result in answer["results"]] == order
        assert answer["results"][0]["document"]["text"] == DOCUMENTS[order[0]]
        with pytest.raises(RuntimeError, match="blank"):
            model.rerank(DOCUMENTS, " ")
