import inspect

import numpy as np
import pytest

from reranker import InferenceError
from reranker.pipeline import registry

DOCUMENTS = ["a lazy dog sleeps", "the quick brown fox", "fox", "a red fox and a dog", "?!", "fox"]
QUERY = "quick brown fox"
ALL = [
    ("fast", {}),
    ("standard", {"model_cross": "any"}),
    ("optimal", {"model_cross": "any"}),
    ("best", {}),
    ("best", {"model_cross": "any"}),
]
every_method = pytest.mark.parametrize(("method", "options"), ALL)


@every_method
def test_orders_best_first_with_scores_between_zero_and_one(rank, method, options):
    ranking = rank(method, QUERY, DOCUMENTS, **options)

    scores = [result.score for result in ranking]
    assert ranking[0].index == 1
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@every_method
def test_equal_documents_get_equal_scores_in_the_order_of_the_request(rank, method, options):
    ranking = rank(method, QUERY, DOCUMENTS, **options)

    places = {result.index: place for place, result in enumerate(ranking)}
    scores = {result.index: result.score for result in ranking}
    assert scores[2] == scores[5]
    assert places[5] == places[2] + 1


@every_method
def test_a_score_does_not_depend_on_the_other_documents(rank, method, options):
    together = {result.index: result.score for result in rank(method, QUERY, DOCUMENTS, **options)}

    for index, text in enumerate(DOCUMENTS):
        (alone,) = rank(method, QUERY, [text], **options)
        assert alone.score == pytest.approx(together[index], abs=1e-6)


@every_method
def test_a_model_reads_each_distinct_text_once(rank, models, method, options):
    rank(method, QUERY, DOCUMENTS, **options)

    read = [texts for kind, texts, _ in models.bi.calls if kind == "document"]
    for texts in [*read, *models.cross.calls]:
        assert len(texts) == len(set(texts)) == len(DOCUMENTS) - 1
    assert len(read) <= 1
    assert len(models.cross.calls) <= 1


@every_method
def test_reports_which_weights_served(rank, method, options):
    ranking = rank(method, QUERY, DOCUMENTS, **options)

    expected = {
        "fast": ["fake-bi"],
        "standard": ["fake-cross"],
        "optimal": ["fake-bi", "fake-cross"],
    }
    both = ["fake-bi", "fake-cross"] if options else ["fake-bi"]
    assert list(ranking.models.values()) == expected.get(method, both)


@every_method
def test_counts_the_query_once_a_model_and_every_distinct_text(rank, method, options):
    ranking = rank(method, QUERY, ["one two", "one two", "three"], **options)

    models = len(ranking.models)
    assert ranking.usage.query_tokens == 3 * models
    assert ranking.usage.document_tokens == 3 * models


@every_method
@pytest.mark.parametrize("count", [3, 300])
def test_usage_is_all_that_the_models_read(rank, models, method, options, count):
    documents = [f"text number {i % 200}" for i in range(count)]

    ranking = rank(method, QUERY, documents, stage1_top_k=10, **options)

    assert ranking.usage == models.bi.usage + models.cross.usage


def test_best_counts_what_it_reads_a_second_time(rank):
    documents = [f"text {i}" for i in range(300)]

    once = rank("fast", QUERY, documents, stage1_top_k=10).usage
    ranking = rank("best", QUERY, documents, stage1_top_k=10)

    again = sum(len(documents[result.index].split()) for result in ranking)
    assert again == 20
    assert ranking.usage.document_tokens == once.document_tokens + again
    assert ranking.usage.query_tokens == once.query_tokens


@every_method
def test_reports_cut_documents_and_cut_queries(rank, method, options):
    ranking = rank(
        method, "word " * 99, ["short", "a longer text"], max_tokens_per_doc=2, **options
    )

    assert ranking.truncated == (1,)
    assert [text for text in ranking.warnings if "only its beginning" in text]


@every_method
def test_a_short_query_is_not_reported_as_cut(rank, method, options):
    ranking = rank(method, QUERY, DOCUMENTS, **options)

    assert not [text for text in ranking.warnings if "only its beginning" in text]


@pytest.mark.parametrize("method", ["optimal", "best"])
def test_two_stage_methods_spend_stage_two_on_the_best_of_stage_one(rank, models, method):
    ranking = rank(method, QUERY, DOCUMENTS, model_cross="any", stage1_top_k=2)

    nearest = [result.index for result in rank("fast", QUERY, DOCUMENTS)][:2]
    assert sorted(result.index for result in ranking) == sorted(nearest)
    assert sum(len(texts) for texts in models.cross.calls) == 2


@pytest.mark.parametrize("count", [1, 50])
def test_best_encodes_long_lists_without_tokens_and_the_kept_ones_again(rank, models, count):
    rank("best", QUERY, [f"text {i}" for i in range(count)], stage1_top_k=3)

    encoded = [(len(texts), tokens) for kind, texts, tokens in models.bi.calls[1:]]
    assert encoded == ([(1, True)] if count == 1 else [(50, False), (3, True)])


def test_best_scores_the_same_whether_or_not_the_kept_ones_were_encoded_again(rank):
    texts = [f"fox {i}" for i in range(10)]

    once = {r.index: r.score for r in rank("best", QUERY, texts, stage1_top_k=5)}
    again = {r.index: r.score for r in rank("best", QUERY, texts, stage1_top_k=4)}

    assert again == pytest.approx({index: once[index] for index in again}, abs=1e-6)


def test_best_reports_what_it_fused(rank):
    ranking = rank("best", QUERY, DOCUMENTS, model_cross="any", explain=True)

    assert list(ranking[0].stages) == ["bi_encoder", "cross_encoder", "fusion"]
    assert {"cosine", "attention", "cross_encoder"} <= set(ranking[0].features)
    assert ranking[0].features["cosine"] == ranking[0].stages["bi_encoder"]
    assert ranking[0].features["cross_encoder"] == ranking[0].stages["cross_encoder"]
    assert [span.start for span in ranking[0].spans] == [4]


@pytest.mark.parametrize(("query", "document"), [("?!", "a fox"), ("fox", "?!"), ("?!", "...")])
@pytest.mark.parametrize("options", [{}, {"model_cross": "any"}])
def test_best_gives_finite_scores_where_there_are_no_tokens(rank, query, document, options):
    (result,) = rank("best", query, [document], explain=True, **options)

    assert np.isfinite(result.score)
    assert result.spans == ()


def test_a_document_without_tokens_comes_last_in_best(rank):
    assert rank("best", QUERY, DOCUMENTS)[-1].index == 4


def test_a_vector_that_is_not_finite_is_an_error(rank, models, monkeypatch):
    encode = models.bi.encode

    def broken(texts, **options):
        encoded = encode(texts, **options)
        encoded.vectors[-1] = np.nan
        return encoded

    monkeypatch.setattr(models.bi, "encode", broken)
    with pytest.raises(InferenceError):
        rank("fast", QUERY, DOCUMENTS)


@pytest.mark.parametrize("name", ["fast", "standard", "optimal", "best"])
def test_a_builder_reads_as_its_own_specification(name):
    method = registry.get(name)

    assert len(inspect.getsource(method.build).splitlines()) <= 40
    assert method.two_stage == (name in ("optimal", "best"))
    assert method.summary.endswith(".")
