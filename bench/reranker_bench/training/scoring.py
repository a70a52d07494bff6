"""Scores of one collection by the bi-encoder, by a cross-encoder, and by sums of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import BertForSequenceClassification

from reranker_bench import quality
from reranker_bench.datasets import RetrievalSet
from reranker_bench.training import teacher
from reranker_bench.training.base import base_encoder, base_tokenizer
from reranker_bench.training.forward import pair_logits
from reranker_bench.training.passages import TokenTable, inverse_document_frequency, tokenize
from reranker_bench.training.teacher import CLS, SEP, Floats

Features = dict[str, dict[str, Floats]]


@dataclass(frozen=True, slots=True)
class Texts:
    """A collection's candidate documents and judged queries, tokenised."""

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
    """Tokenise the judged queries and every document that is a candidate of one."""
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
    model: BertForSequenceClassification,
    source: RetrievalSet,
    texts: Texts,
    batch_tokens: int = 4096,
) -> dict[str, Floats]:
    """Return each query's candidate logits by the cross-encoder, documents cut to fit."""
    place = {d: n for n, d in enumerate(texts.documents)}
    limit = model.config.max_position_embeddings
    rows = []
    for number, query in enumerate(texts.queries):
        head = texts.query_tokens.tokens[texts.query_tokens.span(number)]
        for document in source.candidates[query]:
            span = texts.document_tokens.span(place[document])
            body = texts.document_tokens.tokens[span][: limit - len(head) - 3]
            rows.append((len(head) + 2, np.concatenate([[CLS], head, [SEP], body, [SEP]])))
    logits = _logits(model, rows, batch_tokens)
    sizes = [len(source.candidates[q]) for q in texts.queries]
    parts = np.split(logits, np.cumsum(sizes)[:-1])
    return dict(zip(texts.queries, parts, strict=True))


def _logits(
    model: BertForSequenceClassification, rows: Sequence[tuple[int, Floats]], batch_tokens: int
) -> Floats:
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][1]))
    out, done = np.zeros(len(rows), dtype=np.float32), 0
    while done < len(order):
        ahead = len(rows[order[min(done + 63, len(order) - 1)]][1])
        batch = order[done : done + max(1, min(64, batch_tokens // ahead))]
        ids = torch.zeros(len(batch), len(rows[batch[-1]][1]), dtype=torch.long)
        types, mask = torch.zeros_like(ids), torch.zeros_like(ids, dtype=torch.bool)
        for line, place in enumerate(batch):
            start, tokens = rows[place]
            ids[line, : len(tokens)] = torch.from_numpy(tokens)
            types[line, start : len(tokens)] = 1
            mask[line, : len(tokens)] = True
        with torch.inference_mode():
            out[batch] = pair_logits(model, ids, types, mask)[0].numpy()
        done += len(batch)
    return out


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


def gains(source: RetrievalSet, scores: dict[str, Floats]) -> dict[str, float]:
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
