"""litellm, LangChain, LlamaIndex, Haystack and rerankers."""

from __future__ import annotations

import pytest
from support.clients import DOCUMENTS, KEY, MODEL, QUERY, client_module

LITELLM = [
    ("cohere", ""),
    ("cohere", "/v1"),
    ("cohere", "/v1/rerank"),
    ("infinity", "/infinity"),
    ("hosted_vllm", ""),
    ("hosted_vllm", "/v1/rerank"),
    ("jina_ai", ""),
    ("together_ai", ""),
    ("voyage", ""),
    ("huggingface", ""),
    ("nvidia_nim", ""),
    ("deepinfra", ""),
    ("fireworks_ai", ""),
    ("azure_ai", ""),
]


@pytest.fixture
def litellm(monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    module = client_module("litellm")
    module.telemetry = False
    return module


class TestLitellm:
    @pytest.mark.parametrize(("provider", "suffix"), LITELLM)
    def test_rerank(self, litellm, base, order, provider, suffix):
        answer = litellm.rerank(
            model=f"{provider}/{MODEL}",
            query=QUERY,
            documents=DOCUMENTS,
            api_base=base + suffix,
            api_key="any",
            top_n=len(DOCUMENTS),
        )
        found = sorted(answer.results, key=lambda result: -result["relevance_score"])
        assert [result["index"] for result in found] == order

    def test_infinity_without_a_prefix_if_documents_are_left_out(self, litellm, base, order):
        answer = litellm.rerank(
            model=f"infinity/{MODEL}",
            query=QUERY,
            documents=DOCUMENTS,
            api_base=base,
            api_key="any",
            return_documents=False,
        )
        assert [result["index"] for result in answer.results] == order

    def test_embedding(self, litellm, base):
        answer = litellm.embedding(
            model="openai/text-embedding-3-small",
            input=DOCUMENTS,
            api_base=f"{base}/v1",
            api_key="any",
        )
        assert [len(each["embedding"]) for each in answer.data] == [384] * len(DOCUMENTS)

    def test_errors(self, litellm, keyed):
        with pytest.raises(litellm.AuthenticationError):
            litellm.rerank(
                model=f"cohere/{MODEL}",
                query=QUERY,
                documents=DOCUMENTS,
                api_base=keyed,
                api_key="wrong",
            )


def test_langchain_cohere(base, order):
    langchain = client_module("langchain_cohere")
    documents = client_module("langchain_core.documents")
    rerank = langchain.CohereRerank(base_url=base, cohere_api_key="any", model=MODEL, top_n=3)
    found = rerank.rerank(DOCUMENTS, QUERY)
    assert [each["index"] for each in found] == order[:3]
    kept = rerank.compress_documents(
        [documents.Document(page_content=text) for text in DOCUMENTS], QUERY
    )
    assert [each.page_content for each in kept] == [DOCUMENTS[i] for i in order[:3]]


def nodes():
    schema = client_module("llama_index.core.schema")
    return [schema.NodeWithScore(node=schema.TextNode(text=text), score=0.5) for text in DOCUMENTS]


def test_llama_index_cohere(base, order):
    module = client_module("llama_index.postprocessor.cohere_rerank")
    rerank = module.CohereRerank(base_url=base, api_key="any", model=MODEL, top_n=3)
    found = rerank.postprocess_nodes(nodes(), query_str=QUERY)
    assert [each.node.text for each in found] == [DOCUMENTS[i] for i in order[:3]]


def test_llama_index_tei_sends_the_bare_token(keyed, order):
    module = client_module("llama_index.postprocessor.tei_rerank")
    rerank = module.TextEmbeddingInference(base_url=keyed, top_n=3, auth_token=KEY)
    found = rerank.postprocess_nodes(nodes(), query_str=QUERY)
    assert [each.node.text for each in found] == [DOCUMENTS[i] for i in order[:3]]


def test_haystack_tei(base, order):
    rankers = client_module("haystack.components.rankers")
    haystack = client_module("haystack")
    ranker = rankers.HuggingFaceTEIRanker(url=base, token=None, top_k=3)
    found = ranker.run(QUERY, [haystack.Document(content=text) for text in DOCUMENTS])["documents"]
    assert [each.content for each in found] == [DOCUMENTS[i] for i in order[:3]]
    with pytest.raises(Exception, match="422"):
        ranker.run(" ", [haystack.Document(content="a")])


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("cohere", "/v1/rerank"),
        ("jina", "/v1/rerank"),
        ("voyage", "/v1/rerank"),
        ("mixedbread.ai", "/v1/reranking"),
        ("pinecone", "/rerank"),
        ("text-embeddings-inference", "/rerank"),
    ],
)
def test_rerankers(base, order, provider, path):
    module = client_module("rerankers.models.api_rankers")
    ranker = module.APIRanker(MODEL, "any", provider, url=base + path)
    found = ranker.rank(QUERY, list(DOCUMENTS))
    assert [each.document.text for each in found.results] == [DOCUMENTS[i] for i in order]
    scores = [each.score for each in found.results]
    assert scores == sorted(scores, reverse=True)


def test_langchain_openai_embeddings_send_texts_or_token_ids(base):
    module = client_module("langchain_openai")
    embeddings = module.OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=f"{base}/v1",
        api_key="any",
        # With it on, it would send ids of OpenAI's vocabulary, which are none of this model's.
        check_embedding_ctx_length=False,
    )
    assert [len(vector) for vector in embeddings.embed_documents(DOCUMENTS)] == [384] * 4
    assert len(embeddings.embed_query(QUERY)) == 384


def test_langchain_nvidia(base, order):
    module = client_module("langchain_nvidia_ai_endpoints")
    documents = client_module("langchain_core.documents")
    rerank = module.NVIDIARerank(base_url=f"{base}/v1", model=MODEL, top_n=3, api_key="any")
    found = rerank.compress_documents(
        [documents.Document(page_content=text) for text in DOCUMENTS], QUERY
    )
    assert [each.page_content for each in found] == [DOCUMENTS[i] for i in order[:3]]


def test_langchain_voyage(base, order):
    module = client_module("langchain_voyageai")
    documents = client_module("langchain_core.documents")
    rerank = module.VoyageAIRerank(
        base_url=f"{base}/v1", model="rerank-2.5", voyage_api_key="any", top_k=3
    )
    found = rerank.compress_documents(
        [documents.Document(page_content=text) for text in DOCUMENTS], QUERY
    )
    assert [each.page_content for each in found] == [DOCUMENTS[i] for i in order[:3]]


@pytest.mark.parametrize(
    ("module", "name", "suffix"),
    [
        ("jinaai_rerank", "JinaRerank", "/v1"),
        ("siliconflow_rerank", "SiliconFlowRerank", "/v1/rerank"),
        ("nvidia_rerank", "NVIDIARerank", "/v1"),
    ],
)
def test_other_llama_index_postprocessors(base, order, module, name, suffix):
    kind = getattr(client_module(f"llama_index.postprocessor.{module}"), name)
    rerank = kind(base_url=base + suffix, api_key="any", model=MODEL, top_n=3)
    found = rerank.postprocess_nodes(nodes(), query_str=QUERY)
    assert [each.node.text for each in found] == [DOCUMENTS[i] for i in order[:3]]


def test_llama_index_tei_embeddings(base):
    module = client_module("llama_index.embeddings.text_embeddings_inference")
    embedding = module.TextEmbeddingsInference(model_name=MODEL, base_url=base)
    assert [len(vector) for vector in embedding.get_text_embedding_batch(DOCUMENTS)] == [384] * 4


def test_haystack_cohere(base, order):
    haystack = client_module("haystack")
    utils = client_module("haystack.utils")
    rankers = client_module("haystack_integrations.components.rankers.cohere")
    key = utils.Secret.from_token("any")
    ranker = rankers.CohereRanker(model=MODEL, api_base_url=base, api_key=key, top_k=3)
    found = ranker.run(QUERY, [haystack.Document(content=text) for text in DOCUMENTS])["documents"]
    assert [each.content for each in found] == [DOCUMENTS[i] for i in order[:3]]
