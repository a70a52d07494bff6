from lab.fitting.sample import draw, held_out, unseen
from reranker_bench.data.beir import RetrievalSet


def collection(relevant, pools):
    return RetrievalSet(
        name="small",
        corpus={d: f"text {d}" for pool in pools.values() for d in pool},
        queries={q: f"query {q}" for q in pools},
        qrels={q: {d: 1} for q, d in relevant.items()},
        candidates=pools,
    )


KEPT_BACK = [f"d{i}" for i in range(1000) if held_out(f"d{i}")]
TRAINED = [f"d{i}" for i in range(1000) if not held_out(f"d{i}")]


def test_training_holds_out_about_one_passage_in_twenty_five():
    assert 20 <= len(KEPT_BACK) <= 60


def test_unseen_queries_come_first_and_are_named():
    relevant = {"a": TRAINED[0], "b": KEPT_BACK[0], "c": TRAINED[1], "d": KEPT_BACK[1]}
    pools = {q: (TRAINED[9], d) for q, d in relevant.items()}

    sample = draw(collection(relevant, pools), 3, 10, prefer_unseen=True)

    assert list(sample.queries) == ["b", "d", "a"]
    assert unseen(sample) == ["b", "d"]


def test_queries_whose_relevant_document_is_not_in_the_cut_pool_are_left_out():
    relevant = {"a": "d1", "b": "d3", "c": "d9"}
    pools = {"a": ("d1", "d2", "d3"), "b": ("d1", "d2", "d3"), "c": ("d1", "d2")}

    sample = draw(collection(relevant, pools), 10, 2, prefer_unseen=False)

    assert list(sample.queries) == ["a"]
    assert sample.pools == {"a": ("d1", "d2")}
    assert set(sample.texts) == {"d1", "d2"}


def test_a_limit_spreads_queries_over_the_file():
    names = [f"q{i}" for i in range(10)]
    source = collection(dict.fromkeys(names, "d1"), dict.fromkeys(names, ("d1", "d2")))

    assert list(draw(source, 2, 10, prefer_unseen=False).queries) == ["q0", "q5"]
