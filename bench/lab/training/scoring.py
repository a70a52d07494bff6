"""Scores of one collection by the bi-encoder, by a cross-encoder, and by sums of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lab.training.base import base_encoder, base_tokenizer
from lab.training.corpus import teacher
from lab.training.corpus.passages import TokenTable, inverse_document_frequency, tokenize
from lab.training.corpus.teacher import Floats
from lab.training.optimization.batches import chunked
from lab.training.optimization.forward import pair_logits
from reranker.families.split_cross_encoder.network import SplitBert
from reranker_bench.data.beir import RetrievalSet
from reranker_bench.evaluation import measures as quality

Features = dict[str, dict[str, Floats]]


@dataclass(frozen=True, slots=True)
class Texts:
    """A collection's candidate documents and judged queries, tokenized."""

    documents: tuple[str, ...]
    queries: tuple[str, ...]
    document_tokens: TokenTable
    query_tokens: TokenTable


def sample(source: RetrievalSet, queries: int | None, seed: int = 0) -> RetrievalSet:
    """Return the collection with a seeded sample of its judged queries, or as it is."""
    judged = source.judged_queries()
    if queries is None or queries >= len(judged):
        return source
    drawn = np.random.default_rng(seed).choice(len(judged), size=queries, replace=False)
    kept = {judged[i]: source.queries[judged[i]] for i in sorted(drawn)}
    qrels = {q: source.qrels[q] for q in kept}
    return replace(source, queries=kept, qrels=qrels)


def texts_of(source: RetrievalSet, max_tokens: int) -> Texts:
    """Tokenize the judged queries and every document that is a candidate of one."""
    queries = tuple(q for q in source.judged_queries() if source.candidates.get(q))
    documents = tuple(dict.fromkeys(d for q in queries for d in source.candidates[q]))
    tokenizer = base_tokenizer()
    return Texts(
        documents,
        queries,
        tokenize(tokenizer, [source.corpus[d] for d in documents], max_tokens),
        tokenize(tokenizer, [source.queries[q] for q in queries], 256),
    )


def bi_scores(source: RetrievalSet, texts: Texts) -> Features:
    """Return each query's candidate scores by cosine and by soft late interaction."""
    bert = base_encoder()
    vectors = []
    for table in (texts.query_tokens, texts.document_tokens):
        out = np.empty((len(table.tokens), bert.config.hidden_size), dtype=np.float16)
        teacher.write_vectors(bert, table, out, lambda _: None)
        vectors.append(out)
    idf = inverse_document_frequency(texts.document_tokens, bert.config.vocab_size)
    place = {d: n for n, d in enumerate(texts.documents)}
    found: Features = {"cosine": {}, "attention": {}}
    for row, query in enumerate(texts.queries):
        own = texts.query_tokens.span(row)
        states = vectors[0][own].astype(np.float32)
        weights = idf[texts.query_tokens.tokens[own]]
        pairs = [
            teacher.score(
                states,
                vectors[1][texts.document_tokens.span(place[d])].astype(np.float32),
                weights,
            )
            for d in source.candidates[query]
        ]
        found["cosine"][query] = np.array([p.cosine for p in pairs], dtype=np.float32)
        found["attention"][query] = np.array([p.attention for p in pairs], dtype=np.float32)
    return found


def cross_scores(
    model: SplitBert, source: RetrievalSet, texts: Texts, pairs_a_chunk: int = 24
) -> dict[str, Floats]:
    """Return each query's candidate logits by the cross-encoder, documents cut to fit."""
    place = {d: n for n, d in enumerate(texts.documents)}
    limit = model.config.max_position_embeddings
    found = {}
    for number, query in enumerate(texts.queries):
        head = texts.query_tokens.tokens[texts.query_tokens.span(number)]
        spans = [texts.document_tokens.span(place[d]) for d in source.candidates[query]]
        pairs = [(head, texts.document_tokens.tokens[s][: limit - len(head) - 4]) for s in spans]
        with torch.inference_mode():
            logits = pair_logits(model, chunked(pairs, -(-len(pairs) // pairs_a_chunk)))
        found[query] = logits.numpy()
    return found


def standardised(features: Features) -> Features:
    """Return every feature with mean 0 and deviation 1 over all pairs of the collection."""
    result: Features = {}
    for name, scores in features.items():
        values = np.concatenate(list(scores.values()))
        centre, scale = float(values.mean()), max(float(values.std()), 1e-9)
        result[name] = {q: (v - centre) / scale for q, v in scores.items()}
    return result


def weighted(features: Features, weights: dict[str, float]) -> dict[str, Floats]:
    """Return the weighted sum of features per query."""
    first = next(iter(features.values()))
    return {q: np.sum([w * features[n][q] for n, w in weights.items()], axis=0) for q in first}


def ndcg_by_query(source: RetrievalSet, scores: dict[str, Floats]) -> dict[str, float]:
    """Return nDCG@10 per query; queries without candidates count as 0."""
    run = {
        q: dict(zip(source.candidates[q], map(float, v), strict=True)) for q, v in scores.items()
    }
    return quality.per_query(source.qrels, run)


def interval(values: Sequence[float], seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean over queries."""
    random, array = np.random.default_rng(seed), np.array(values)
    means = array[random.integers(len(array), size=(draws, len(array)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def order_scores(source: RetrievalSet, queries: Sequence[str]) -> dict[str, Floats]:
    """Return scores that keep the order of the candidates file."""
    return {q: -np.arange(len(source.candidates[q]), dtype=np.float32) for q in queries}
