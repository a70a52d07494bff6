import numpy as np

from lab.fitting.ablation import left_out, ndcg_of
from reranker_bench.tuning.features import Table, tabulate
from reranker_bench.tuning.sample import Sample
from reranker_bench.tuning.weights import fit

QUERIES, DEPTH = 60, 10


def table(name: str, good: str, noise: str) -> Table:
    """Return a table where the feature `good` tells the one relevant document of each query."""
    draw = np.random.default_rng(0)
    pools = {f"q{i}": tuple(f"q{i}d{j}" for j in range(DEPTH)) for i in range(QUERIES)}
    grades = {q: {pool[i % DEPTH]: 1} for i, (q, pool) in enumerate(pools.items())}
    texts = {d: d for pool in pools.values() for d in pool}
    relevant = np.array([grades[q].get(d, 0) for q in pools for d in pools[q]], dtype=float)
    values = {
        good: relevant + draw.normal(size=len(relevant)) / 2,
        noise: draw.normal(size=len(relevant)),
    }
    return tabulate(Sample(name, {q: q for q in pools}, pools, texts, grades), values)


def test_a_collection_left_out_is_scored_by_the_others_weights() -> None:
    one, other = table("one", "a", "b"), table("other", "b", "a")
    found = left_out([one, other], ("a", "b"), pull=0.0)
    own = ndcg_of(fit([one], ("a", "b"), pull=0.0), one)
    assert set(found) == {"one", "other"}
    assert np.mean(list(found["one"].values())) < np.mean(list(own.values())) - 0.2
